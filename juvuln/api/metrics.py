"""`/metrics`: figures for Prometheus, without credentials, as in `/readyz`."""

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from juvuln.api.services import Services
from shared.http import Answer, Route


class MetricsApi:
    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        figures = Answer("the figures, in Prometheus' text format", content_type="text/plain")
        return [Route("GET", "/metrics", self.figures, "Figures for Prometheus", {200: figures})]

    async def figures(self, _request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(self._services.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

"""`GET /metrics`: figures for Prometheus.

What makes them is loaded by the first who asks, for many have no Prometheus, and it takes a megabyte.
"""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from aiohttp import web

from shared.http import Answer, Route

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class MetricsApi:
    """`/metrics`: without credentials, as in `/readyz`."""

    def __init__(self, make_registry: Callable[[], "CollectorRegistry"]) -> None:
        """``make_registry`` gives all that there is to tell; it is called once."""
        self._make_registry = make_registry

    def routes(self) -> list[Route]:
        figures = Answer("the figures, in Prometheus' text format", content_type="text/plain")
        return [Route("GET", "/metrics", self.figures, "Figures for Prometheus", {200: figures})]

    async def figures(self, _request: web.Request) -> web.Response:
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    @cached_property
    def _registry(self) -> "CollectorRegistry":
        return self._make_registry()

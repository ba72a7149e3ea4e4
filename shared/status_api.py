"""The calls that every daemon answers to everybody: `/healthz`, `/readyz`, `/openapi3.json`."""

from collections.abc import Sequence
from functools import cached_property

from aiohttp import web
from pydantic import BaseModel

from shared import project_version
from shared.health import Readiness
from shared.http import Answer, Route, json_response
from shared.openapi import Json, openapi_document


class Health(BaseModel):
    """The daemon is alive."""

    status: str = "ok"
    version: str


class Ready(BaseModel):
    """Whether the daemon can do all of its work, and if not, why: the problem of each part by its name."""

    ready: bool
    problems: dict[str, str]


class StatusApi:
    def __init__(self, readiness: Readiness, title: str, description: str) -> None:
        self._readiness = readiness
        self._title = title
        self._description = description
        self._routes: Sequence[Route] = ()

    def with_status(self, routes: Sequence[Route]) -> list[Route]:
        """``routes`` and those of this API, all of them described in the OpenAPI document."""
        self._routes = [*routes, *self._own_routes()]
        return list(self._routes)

    def _own_routes(self) -> list[Route]:
        return [
            Route("GET", "/healthz", self.alive, "Is the daemon alive?", {200: Answer("yes", Health)}),
            Route(
                "GET",
                "/readyz",
                self.ready,
                "Can the daemon do all of its work?",
                {200: Answer("yes", Ready), 503: Answer("no: what is wrong", Ready)},
            ),
            Route("GET", "/openapi3.json", self.document, "This document", {200: Answer("OpenAPI 3", Json)}),
        ]

    async def alive(self, _request: web.Request) -> web.Response:
        return json_response(Health(version=project_version()))

    async def ready(self, _request: web.Request) -> web.Response:
        problems = self._readiness.problems()
        return json_response(Ready(ready=not problems, problems=problems), status=503 if problems else 200)

    async def document(self, _request: web.Request) -> web.Response:
        return web.json_response(self._document)

    @cached_property
    def _document(self) -> Json:
        """Made when somebody asks for it, which mostly nobody does."""
        return openapi_document(self._title, project_version(), self._description, self._routes)

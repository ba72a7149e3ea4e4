"""What stands on the other side of a worker in these tests: the calls of the contract that a manager answers."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from shared.http import listening

SECRET = "the secret of manager and workers"


@dataclass
class LocalManager:
    """Keeps subscribers and serves modules: ``modules["simplemath"][4]`` is the source of a signed revision."""

    secret: str | None = SECRET
    modules: dict[str, dict[int, str]] = field(default_factory=dict)
    subscribers: dict[str, dict[str, Any]] = field(default_factory=dict)
    loads: list[int] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    answers: list[int] = field(default_factory=list)
    """The status of each answer of the library."""
    status: int | None = None
    """What every call is answered with, if it is set."""
    hold: asyncio.Event | None = None
    """Answers of the library wait for it, if it is set."""
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    """`/hang` is answered once it is set."""
    port: int = 0

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self.port}"

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard])
        app.router.add_post("/v1/subscribers", self._subscribe)
        app.router.add_get("/v1/subscribers/{uuid}", self._look)
        app.router.add_delete("/v1/subscribers/{uuid}", self._leave)
        app.router.add_put("/v1/subscribers/{uuid}/load", self._load)
        app.router.add_get("/v1/library", self._library)
        app.router.add_get("/hang", self._hang)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.calls[f"{request.method} {request.path.split('/')[2] if request.path.startswith('/v1') else 'hang'}"] += 1
        if self.status is not None:
            return web.Response(status=self.status)
        given = request.headers.get("Authorization")
        if request.path != "/hang" and self.secret is not None and given != f"Bearer {self.secret}":
            return web.Response(status=401)
        response: web.StreamResponse = await handler(request)
        return response

    async def _subscribe(self, request: web.Request) -> web.Response:
        subscriber = await request.json()
        self.subscribers[subscriber["uuid"]] = subscriber
        return web.Response(status=201)

    async def _look(self, request: web.Request) -> web.Response:
        return web.Response(status=204 if request.match_info["uuid"] in self.subscribers else 404)

    async def _leave(self, request: web.Request) -> web.Response:
        self.subscribers.pop(request.match_info["uuid"], None)
        return web.Response(status=204)

    async def _load(self, request: web.Request) -> web.Response:
        self.loads.append((await request.json())["load"])
        return await self._look(request)

    async def _library(self, request: web.Request) -> web.Response:
        if self.hold is not None:
            await self.hold.wait()
        response = self._module(request)
        self.answers.append(response.status)
        return response

    def _module(self, request: web.Request) -> web.Response:
        revisions = self.modules.get(request.query["module"], {})
        wanted = request.query["revision"]
        revision = max(revisions, default=-1) if wanted == "latest" else int(wanted)
        if revision not in revisions or request.query["language"] != "tengo":
            return web.Response(status=404)
        etag = f'"{hashlib.sha256(revisions[revision].encode()).hexdigest()[:16]}"'
        headers = {"ETag": etag, "X-Revision": str(revision)}
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers=headers)
        return web.Response(text=revisions[revision], headers=headers)

    async def _hang(self, _request: web.Request) -> web.Response:
        await self.hanging.wait()
        return web.Response()


@asynccontextmanager
async def local_manager(port: int = 0) -> AsyncIterator[LocalManager]:
    manager = LocalManager()
    async with listening(manager.app(), "127.0.0.1", port, port_setting="", drain_seconds=0.1) as manager.port:
        yield manager

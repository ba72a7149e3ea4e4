"""Connections: those that say nothing are let go, so that the others are served.

aiohttp waits for a request's head for as long as a connection may be idle, for its body for ever, and takes connections
until there are no descriptors left. Here a head and a body have their time, and when there is no room for one more
connection, the one that has been silent longest makes room.
"""

import asyncio
import resource
from dataclasses import dataclass
from itertools import chain, takewhile
from typing import cast

from aiohttp import web

from shared.config import ConnectionLimits
from shared.malformed import RequestHandler

IDLE_SECONDS = 120.0
"""How long a connection is kept after an answer. Longer than the clients that we know keep theirs (Go: 90 s), lest one
sends its next request while we close."""


class LateBodyError(TimeoutError):
    """A request's body that did not arrive in time. The text says in which."""


def raise_descriptor_limit() -> None:
    """Let this process have as many descriptors as the system allows it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def affordable_connections(wanted: int) -> int:
    """How many connections to take: half of the descriptors are for everything else, such as databases and workers."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if allowed == resource.RLIM_INFINITY else min(wanted, allowed // 2)


@dataclass(slots=True)
class ConnectionCount:
    """For who watches a server from outside."""

    open: int = 0


class Connections:
    """All connections of a server: the factory of their protocols."""

    def __init__(self, server: web.Server, limits: ConnectionLimits, count: ConnectionCount) -> None:
        self._server = server
        self._limits = limits
        self._count = count
        self._most = affordable_connections(limits.connections)
        self._loop = asyncio.get_running_loop()
        self._connections: dict[asyncio.Protocol, _Connection] = {}
        self._due: dict[_Connection, float] = {}
        """Those whose next head is due, with the time since when; the longest first."""
        self._idle: dict[_Connection, None] = {}
        """Those that have been answered and may be idle, the longest first."""
        self._handle = server.request_handler
        server.request_handler = self._handle_heard

    def __call__(self) -> asyncio.Protocol:
        handler = RequestHandler(self._server, loop=self._loop, access_log=None, keepalive_timeout=IDLE_SECONDS)  # type: ignore[arg-type]
        connection = self._connections[handler] = _Connection(self, handler)
        self._count.open += 1
        return connection

    async def close_silent(self) -> None:
        """Close connections whose head is overdue, for ever."""
        while True:
            await asyncio.sleep(min(1.0, self._limits.head_timeout_seconds / 4))
            for connection in self._overdue():
                connection.abort()

    def _overdue(self) -> "list[_Connection]":
        latest = self._loop.time() - self._limits.head_timeout_seconds
        return list(takewhile(lambda each: self._due[each] < latest, self._due))

    def opened(self, connection: "_Connection") -> bool:
        """Take a connection, at the cost of the longest silent one if need be. False if all are at work."""
        if len(self._connections) > self._most:
            # Those that have been answered before come last: they are more likely to be honest.
            longest_silent = next(chain(self._due, self._idle), None)
            if longest_silent is None:
                return False
            longest_silent.abort()
            self.forget(longest_silent)
        self._due[connection] = self._loop.time()
        return True

    def forget(self, connection: "_Connection") -> None:
        if self._connections.pop(connection.handler, None) is not None:
            self._count.open -= 1
        self._due.pop(connection, None)
        self._idle.pop(connection, None)

    def spoke(self, connection: "_Connection") -> None:
        """Something was received: if it begins a request, the head is due from now on."""
        if connection in self._idle:
            del self._idle[connection]
            self._due[connection] = self._loop.time()

    async def _handle_heard(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request, whose head is complete."""
        connection = self._connections.get(request.protocol)
        if connection is None:
            return await self._handle(request)
        self._due.pop(connection, None)
        self._idle.pop(connection, None)
        late = None if request.content.is_eof() else self._expect_body(request)
        try:
            return await self._handle(request)
        finally:
            if late is not None:
                late.cancel()
            if connection.handler in self._connections:
                self._idle[connection] = None

    def _expect_body(self, request: web.BaseRequest) -> asyncio.TimerHandle:
        seconds = self._limits.body_timeout_seconds

        def give_up() -> None:
            if not request.content.is_eof():
                request.content.set_exception(LateBodyError(f"the request body did not arrive within {seconds:g} s"))

        return self._loop.call_later(seconds, give_up)


class _Connection(asyncio.Protocol):
    """Stands between a connection and aiohttp's protocol for it."""

    __slots__ = ("_connections", "_transport", "handler")

    def __init__(self, connections: Connections, handler: asyncio.Protocol) -> None:
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self.handler = handler

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._connections.opened(self):
            self.handler.connection_made(transport)
        else:
            self._connections.forget(self)
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.forget(self)
        self.handler.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._connections.spoke(self)
        self.handler.data_received(data)

    def eof_received(self) -> bool | None:
        return self.handler.eof_received()

    def pause_writing(self) -> None:
        self.handler.pause_writing()

    def resume_writing(self) -> None:
        self.handler.resume_writing()

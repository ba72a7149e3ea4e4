"""Connections: those that say nothing are let go, so that the others are served.

aiohttp waits for a request's head for as long as a connection may be idle, for its body for ever, and takes connections
until there are no descriptors left. Here a head and a body have their time, and when there is no room for one more
connection, the one that has been silent longest makes room.

The plainest requests of some routes are answered here, past aiohttp (:mod:`shared.direct`).
"""

import asyncio
import resource
from collections.abc import Coroutine
from contextvars import copy_context
from dataclasses import dataclass
from itertools import chain, takewhile
from typing import Any, cast

from aiohttp import web

from shared.config import ConnectionLimits
from shared.direct import Answering, DirectCall, DirectRoutes, Found, Reader, Request
from shared.malformed import RequestHandler

IDLE_SECONDS = 120.0
"""How long a connection is kept after an answer. Longer than the clients that we know keep theirs (Go: 90 s), lest one
sends its next request while we close."""

SMALL_BYTES = 16 * 1024
"""An answer that is no longer is sent without looking whether it is being read."""

MAX_HELD_BYTES = 64 * 1024
"""Of what a client sends before it has been answered."""

_LATE = web.RequestKey("late", asyncio.TimerHandle)
"""The timer of a request's body."""


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

    def __init__(
        self, server: web.Server, limits: ConnectionLimits, count: ConnectionCount, direct: DirectRoutes
    ) -> None:
        self._server = server
        self._limits = limits
        self._count = count
        self._direct = direct
        self._calls: set[asyncio.Task[None]] = set()
        """Those that are answered past aiohttp."""
        self._ending = False
        self._most = affordable_connections(limits.connections)
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        self._connections: dict[asyncio.BaseProtocol, _Connection] = {}
        self._due: dict[_Connection, float] = {}
        """Those whose next head is due, with the time since when; the longest first."""
        self._idle: dict[_Connection, float] = {}
        """Those that have been answered and may be idle, with the time since when; the longest first."""
        self._handle = server.request_handler
        server.request_handler = self._handle_heard

    def __call__(self) -> asyncio.Protocol:
        handler = RequestHandler(self._server, loop=self._loop, access_log=None, keepalive_timeout=IDLE_SECONDS)  # type: ignore[arg-type]
        reader = Reader(handler, self._loop) if self._direct else None
        connection = self._connections[handler] = _Connection(self, handler, reader)
        self._count.open += 1
        return connection

    async def close_silent(self) -> None:
        """Close connections whose head is overdue, or that have been idle for too long, for ever."""
        while True:
            await asyncio.sleep(min(1.0, self._limits.head_timeout_seconds / 4))
            for connection in self._overdue():
                connection.abort()

    def _overdue(self) -> "list[_Connection]":
        now = self._loop.time()
        return [*_older(self._due, now - self._limits.head_timeout_seconds), *_older(self._idle, now - IDLE_SECONDS)]

    async def finish_calls(self, seconds: float) -> None:
        """Begin nothing past aiohttp any more, and end what is under way there, by force when this time is over."""
        self._ending = True
        if self._calls:
            _, late = await asyncio.wait(self._calls, timeout=seconds)
            for call in late:
                call.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def answering(self, request: Request) -> Found | None:
        """What answers a request past aiohttp, if anything does."""
        return None if self._ending else self._direct.of(request.head)

    def begin_call(self, connection: "_Connection", answer: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A connection has sent a request that is answered past aiohttp, by a task that calls :meth:`end_call`."""
        self._due.pop(connection, None)
        self._idle.pop(connection, None)
        # Not in the context of what begins it, which may be the call before: what that bound would be logged with it.
        call = self._loop.create_task(answer, context=self._context.copy())
        self._calls.add(call)
        return call

    def send_soon(self, connection: "_Connection", answer: bytes) -> None:
        """Send an answer in the next turn of the loop, with those of other calls that ended in this one.

        By then what was said of it is in the log. And to send is mostly to wake somebody, which takes several times as
        long if he has fallen asleep since the last.
        """
        self._loop.call_soon(connection.write, answer)

    def end_call(self, call: asyncio.Task[None]) -> None:
        self._calls.remove(call)

    def answered(self, connection: "_Connection") -> None:
        """It has been answered, and may be idle."""
        if connection.handler in self._connections:
            self._idle[connection] = self._loop.time()

    @property
    def ends_abandoned(self) -> bool:
        """Whether a call ends when the one who waits for its answer has gone."""
        return bool(self._server.handler_cancellation)

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
        if connection is not None:
            self._due.pop(connection, None)
            self._idle.pop(connection, None)
            if not request.content.is_eof():
                extend_body_time(request, self._limits.body_timeout_seconds)
        try:
            response = await self._handle(request)
            await asyncio.sleep(0)  # so that what was said of it is in the log before
            return response
        finally:
            if (late := request.get(_LATE)) is not None:
                late.cancel()
            if connection is not None:
                connection.answered_by_aiohttp()
                self.answered(connection)


def extend_body_time(request: web.BaseRequest, seconds: float) -> None:
    """Let a request's body take so long from now on, instead of what was the limit before."""

    def give_up() -> None:
        if not request.content.is_eof():
            request.content.set_exception(LateBodyError(f"the request body did not arrive within {seconds:g} s"))

    if (late := request.get(_LATE)) is not None:
        late.cancel()
    request[_LATE] = asyncio.get_running_loop().call_later(seconds, give_up)


def _older(since: "dict[_Connection, float]", latest: float) -> "list[_Connection]":
    return list(takewhile(lambda each: since[each] < latest, since))


class _Connection(asyncio.Protocol):
    """Stands between a connection and aiohttp's protocol for it."""

    __slots__ = (
        "_asked_aiohttp",
        "_call",
        "_connections",
        "_held",
        "_reader",
        "_remote",
        "_transport",
        "_writable",
        "handler",
    )

    def __init__(self, connections: Connections, handler: RequestHandler, reader: Reader | None) -> None:
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._reader = reader
        """There as long as it is certain, at each request, that nothing else is under way."""
        self._asked_aiohttp = False
        """Whether a request went to aiohttp that it has not answered yet."""
        self._call: asyncio.Task[None] | None = None
        """What is being answered past it."""
        self._held = bytearray()
        """What came meanwhile."""
        self._remote = ""
        self._writable = asyncio.Event()
        self._writable.set()
        self.handler = handler

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._reader is not None:
            peer = transport.get_extra_info("peername")
            self._remote = str(peer[0]) if peer else ""
        if self._connections.opened(self):
            self.handler.connection_made(transport)
        else:
            self._connections.forget(self)
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.forget(self)
        self._writable.set()
        if self._call is not None and self._connections.ends_abandoned:
            self._call.cancel()
        self.handler.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._call is not None:
            self._hold(data)
        elif not self._answer_directly(data):
            self._connections.spoke(self)
            self.handler.data_received(data)

    def _answer_directly(self, data: bytes) -> bool:
        """Have a request answered past aiohttp, if it is one of those; false leaves it to aiohttp."""
        if self._reader is None:
            return False
        request = None if self._asked_aiohttp else self._reader.read(data)
        if request is None:
            # Nobody but aiohttp can tell from now on when it has answered everything.
            self._reader = None
            return False
        found = self._connections.answering(request)
        if found is None:
            self._asked_aiohttp = True
            return False
        answer, names = found
        # Its timer for idle connections knows nothing of this one's calls.
        self.handler.keep_alive(True)
        call = DirectCall(request.head, names, self._remote, request.body)
        self._call = self._connections.begin_call(self, self._answer(answer, call))
        return True

    def answered_by_aiohttp(self) -> None:
        self._asked_aiohttp = False

    async def _answer(self, answer: Answering, call: DirectCall) -> None:
        try:
            answered = await answer(call)
            if len(answered) > SMALL_BYTES:
                # So that it is known before the next request whether it is being read.
                await asyncio.sleep(0)
                self.write(answered)
            else:
                self._connections.send_soon(self, answered)
            self._connections.answered(self)
            if not self._writable.is_set():
                await self._writable.wait()  # who does not read answers may ask for no more, and is let go some time
        finally:
            if self._call is not None:
                self._connections.end_call(self._call)
                self._call = None
        self._go_on()

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _hold(self, data: bytes) -> None:
        """Keep what comes during a call for afterwards: some of it, so that a client that goes is heard."""
        before = len(self._held)
        self._held += data
        if before < MAX_HELD_BYTES <= len(self._held) and self._transport is not None:
            self._transport.pause_reading()

    def _go_on(self) -> None:
        if self._held and self._transport is not None and not self._transport.is_closing():
            held, self._held = bytes(self._held), bytearray()
            if len(held) >= MAX_HELD_BYTES:
                self._transport.resume_reading()
            self.data_received(held)

    def eof_received(self) -> None:
        self.handler.eof_received()

    def pause_writing(self) -> None:
        self._writable.clear()
        self.handler.pause_writing()

    def resume_writing(self) -> None:
        self._writable.set()
        self.handler.resume_writing()

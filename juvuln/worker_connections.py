"""Connections to workers that stay, for the calls that are made for every run.

They speak HTTP by aiohttp's own client protocol, without the rest of its client, whose part in a small call takes twice
as long as all else. So there are no redirects, cookies, proxies or TLS here.
"""

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiohttp
from aiohappyeyeballs import start_connection
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDictProxy
from yarl import URL

IDLE_SECONDS = 15.0
"""How long a connection is kept after an answer: less than a worker keeps it, lest a task is sent while it closes."""
NEXT_ADDRESS_SECONDS = 0.25
"""When the next address of a host is tried beside one that does not answer."""
SMALL_BYTES = 64 * 1024
"""A body that is no longer is sent together with the head."""


class Answer(NamedTuple):
    """An answer whose head has come."""

    status: int
    headers: CIMultiDictProxy[str]
    content: aiohttp.StreamReader


class _Idle(NamedTuple):
    connection: ResponseHandler
    since: float
    """By the loop's clock."""


_END_OF_CHUNKS = b"0\r\n\r\n"

_Place = tuple[str, int, str]
"""Host, port and path: a worker answers sooner where calls of the same kind follow one another."""


class LastPart(NamedTuple):
    """The last part of a request, which is sent later than the rest."""

    at: float
    """When it is sent, by the loop's clock."""
    make: Callable[[], bytes]
    """Called then, and not before the connection is known to be there still."""


class NoConnectionError(Exception):
    """There is no connection, so nothing was sent. Its cause is an OSError."""


class WorkerConnections:
    """Close it at the end."""

    def __init__(self, connect_timeout_seconds: float) -> None:
        self._connect_timeout_seconds = connect_timeout_seconds
        self._idle: dict[_Place, deque[_Idle]] = {}
        """The one that was used last comes last."""
        self._closing_idle: asyncio.TimerHandle | None = None
        self._closed = False

    @asynccontextmanager
    async def post(
        self, url: URL, headers: Mapping[str, str], body: bytes, last: LastPart | None = None
    ) -> AsyncIterator[Answer]:
        """Post to a URL of the scheme http, and read the answer within the block. ``last`` is sent meanwhile.

        Raises NoConnectionError; aiohttp.ClientError if the connection broke later, perhaps while the answer is read.
        """
        host, port = url.raw_host or "", url.port or 80
        place = host, port, url.raw_path
        connection = self._take(place)
        if connection is None:
            connection = await self._connected(host, port)
        is_good = False
        sending = _Sending(connection, last)
        try:
            answer = await _answer(connection, _request(url, headers, body, in_parts=last is not None))
            yield answer
            is_good = answer.content.is_eof() and sending.is_complete
        except HttpProcessingError as error:
            raise aiohttp.ClientPayloadError(f"no answer in HTTP: {error.message}") from error
        finally:
            sending.stop()
            if is_good and _is_free(connection) and not self._closed:
                self._keep(place, connection)
            else:
                connection.abort()

    def close(self) -> None:
        """Keep no connection any more. Calls under way go on."""
        self._closed = True
        for idle in self._idle.values():
            for one in idle:
                one.connection.abort()
        self._idle.clear()
        if self._closing_idle is not None:
            self._closing_idle.cancel()

    def _take(self, place: _Place) -> ResponseHandler | None:
        idle = self._idle.get(place)
        oldest = asyncio.get_running_loop().time() - IDLE_SECONDS
        while idle:
            connection, since = idle.pop()
            if since > oldest and _is_free(connection):
                return connection
            connection.abort()
        return None

    async def _connected(self, host: str, port: int) -> ResponseHandler:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout_seconds):
                addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                connected = await start_connection(
                    addresses, happy_eyeballs_delay=NEXT_ADDRESS_SECONDS, interleave=1, loop=loop
                )
                _, connection = await loop.create_connection(lambda: ResponseHandler(loop), sock=connected)
        except OSError as error:  # such as TimeoutError
            raise NoConnectionError from error
        return connection

    def _keep(self, place: _Place, connection: ResponseHandler) -> None:
        loop = asyncio.get_running_loop()
        self._idle.setdefault(place, deque()).append(_Idle(connection, loop.time()))
        if self._closing_idle is None:
            self._closing_idle = loop.call_later(IDLE_SECONDS, self._close_idle)

    def _close_idle(self) -> None:
        loop = asyncio.get_running_loop()
        oldest = loop.time() - IDLE_SECONDS
        for place, idle in list(self._idle.items()):
            while idle and idle[0].since <= oldest:
                idle.popleft().connection.close()
            if not idle:
                del self._idle[place]
        self._closing_idle = loop.call_later(IDLE_SECONDS / 4, self._close_idle) if self._idle else None


def _is_free(connection: ResponseHandler) -> bool:
    """Whether it can serve another call: all was sent that was to be, and nothing has come since the answer's end."""
    transport = connection.transport
    if transport is None or transport.is_closing() or connection.should_close:
        return False
    return transport.get_write_buffer_size() == 0


class _Sending:
    """Sends the last part of a request, if there is one."""

    def __init__(self, connection: ResponseHandler, last: LastPart | None) -> None:
        self._connection = connection
        self.is_complete = last is None
        self._timer = None if last is None else asyncio.get_running_loop().call_at(last.at, self._send, last.make)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _send(self, make: Callable[[], bytes]) -> None:
        transport = self._connection.transport
        if transport is not None and not transport.is_closing():
            transport.write(_chunk(make()) + _END_OF_CHUNKS)
            self.is_complete = True


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _request(url: URL, headers: Mapping[str, str], body: bytes, *, in_parts: bool) -> list[bytes]:
    """Its bytes, in one piece if they are few. ``in_parts``: the body is only the first part of it."""
    body = _chunk(body) if in_parts else body
    lines = [
        f"POST {url.raw_path_qs} HTTP/1.1",
        f"Host: {url.host_port_subcomponent}",
        *(f"{name}: {value}" for name, value in headers.items()),
        "Transfer-Encoding: chunked" if in_parts else f"Content-Length: {len(body)}",
    ]
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    return [head + body] if len(body) <= SMALL_BYTES else [head, body]


async def _answer(connection: ResponseHandler, request: list[bytes]) -> Answer:
    connection.set_response_params(read_until_eof=True, auto_decompress=False)
    transport = connection.transport
    assert transport is not None, "it was connected a moment ago"
    transport.writelines(request)
    while True:
        message, content = await connection.read()
        if message.code >= 200 or connection.upgraded:  # others are words before the answer
            return Answer(message.code, message.headers, content)

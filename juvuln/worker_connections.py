"""Connections to workers that stay, for the calls that are made for every run.

They speak HTTP by aiohttp's own client protocol, without the rest of its client, whose part in a small call takes twice
as long as all else. So there are no redirects, cookies, proxies or TLS here.
"""

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple, cast

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


class Parts:
    """A request's body that is sent in parts, each as soon as it and a connection are there."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        """Those that wait for a connection."""
        self._transport: asyncio.WriteTransport | None = None
        self.is_complete = False
        """Whether nothing is added any more."""

    @property
    def is_on_its_way(self) -> bool:
        """Whether there is a connection, and nothing known of its end."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def takes_more(self) -> bool:
        """Whether what is added is going to be sent, as far as is known."""
        return not self.is_complete and (self._transport is None or self.is_on_its_way)

    def send(self, part: bytes) -> None:
        if self._transport is None:
            self._parts.append(part)
        elif self.takes_more:
            self._transport.write(_chunk(part))

    def end(self) -> None:
        """That was all."""
        if not self.is_complete and self.is_on_its_way:
            cast("asyncio.WriteTransport", self._transport).write(_END_OF_CHUNKS)
        self.is_complete = True

    def whole(self) -> bytes:
        """What was added, while there is no connection."""
        return b"".join(self._parts)

    def sent_on(self, transport: asyncio.WriteTransport) -> bytes:
        """This is the connection; gives what is to be sent on it at once."""
        # What is sent leaves at once, and not with the end of the loop's turn: so both have something to do.
        transport.set_write_buffer_limits(0)
        self._transport = transport
        parts, self._parts = self._parts, []
        return b"".join([_chunk(part) for part in parts]) + (_END_OF_CHUNKS if self.is_complete else b"")


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
    async def post(self, url: URL, headers: Mapping[str, str], body: bytes | Parts) -> AsyncIterator[Answer]:
        """Post to a URL of the scheme http, and read the answer within the block.

        Raises NoConnectionError; aiohttp.ClientError if the connection broke later, perhaps while the answer is read.
        """
        host, port = url.raw_host or "", url.port or 80
        place = host, port, url.raw_path
        connection = self._take(place)
        if connection is None:
            connection = await self._connected(host, port)
        is_good = False
        try:
            answer = await _answer(connection, url, headers, body)
            yield answer
            is_good = answer.content.is_eof() and (isinstance(body, bytes) or body.is_complete)
        except HttpProcessingError as error:
            raise aiohttp.ClientPayloadError(f"no answer in HTTP: {error.message}") from error
        finally:
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


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _request(url: URL, headers: Mapping[str, str], body: bytes, *, in_parts: bool) -> list[bytes]:
    """Its bytes, in one piece if they are few. ``in_parts``: the body is the first of its parts."""
    lines = [
        f"POST {url.raw_path_qs} HTTP/1.1",
        f"Host: {url.host_port_subcomponent}",
        *(f"{name}: {value}" for name, value in headers.items()),
        "Transfer-Encoding: chunked" if in_parts else f"Content-Length: {len(body)}",
    ]
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    return [head + body] if len(body) <= SMALL_BYTES else [head, body]


async def _answer(connection: ResponseHandler, url: URL, headers: Mapping[str, str], body: bytes | Parts) -> Answer:
    """Post on a connection; gives the head of the answer."""
    connection.set_response_params(read_until_eof=True, auto_decompress=False)
    transport = connection.transport
    assert transport is not None, "it was connected a moment ago"
    in_parts = isinstance(body, Parts)
    first = body.sent_on(transport) if isinstance(body, Parts) else body
    transport.writelines(_request(url, headers, first, in_parts=in_parts))
    while True:
        message, content = await connection.read()
        if message.code >= 200 or connection.upgraded:  # others are words before the answer
            return Answer(message.code, message.headers, content)

"""Connections to workers that stay, for the calls that are made for every run.

They speak HTTP by aiohttp's own client protocol, without the rest of its client, whose part in a small call takes twice
as long as all else. So there are no redirects, cookies, proxies or TLS here.
"""

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

IDLE_SECONDS = 15.0
"""How long a connection is kept after an answer: less than a worker keeps it, lest a task is sent while it closes."""
SMALL_BYTES = 64 * 1024
"""A body that is no longer is sent together with the head."""


class Answer(NamedTuple):
    """An answer whose head has come."""

    status: int
    headers: Mapping[str, str]
    """A multidict."""
    content: aiohttp.StreamReader


class Idle(NamedTuple):
    connection: ResponseHandler
    since: float
    """By the loop's clock."""


Place = tuple[str, int, str]
"""Host, port and path: a worker answers sooner where calls of the same kind follow one another."""


class NoConnectionError(Exception):
    """There is no connection, so nothing was sent. Its cause is an OSError."""


class WorkerConnections:
    """Close it at the end."""

    def __init__(self, connect_timeout_seconds: float) -> None:
        self._connect_timeout_seconds = connect_timeout_seconds
        self._idle: dict[Place, deque[Idle]] = {}
        """The one that was used last comes last."""
        self._look: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def post(self, url: URL, headers: Mapping[str, str], body: bytes) -> AsyncIterator[Answer]:
        """Post to a URL of the scheme http, and read the answer within the block.

        Raises NoConnectionError; aiohttp.ClientError if the connection broke later, perhaps while the answer is read.
        """
        place = url.raw_host or "", url.port or 80, url.raw_path
        connection = self._take(place)
        if connection is None:
            connection = await self._connected(place[:2])
        is_good = False
        try:
            answer = await _answer(connection, _request(url, headers, body))
            yield answer
            is_good = answer.content.is_eof() and not connection.should_close
        except HttpProcessingError as error:
            raise aiohttp.ClientPayloadError(f"no answer in HTTP: {error.message}") from error
        finally:
            if is_good and connection.is_connected():
                self._keep(place, connection)
            else:
                connection.abort()

    def close(self) -> None:
        for idle in self._idle.values():
            for one in idle:
                one.connection.abort()
        self._idle.clear()
        if self._look is not None:
            self._look.cancel()

    def _take(self, place: Place) -> ResponseHandler | None:
        idle = self._idle.get(place)
        while idle:
            connection = idle.pop().connection
            if connection.is_connected():
                return connection
        return None

    async def _connected(self, place: tuple[str, int]) -> ResponseHandler:
        try:
            async with asyncio.timeout(self._connect_timeout_seconds):
                return await _connect(place)
        except OSError as error:  # such as TimeoutError
            raise NoConnectionError from error

    def _keep(self, place: Place, connection: ResponseHandler) -> None:
        loop = asyncio.get_running_loop()
        self._idle.setdefault(place, deque()).append(Idle(connection, loop.time()))
        if self._look is None:
            self._look = loop.call_later(IDLE_SECONDS, self._close_idle)

    def _close_idle(self) -> None:
        loop = asyncio.get_running_loop()
        long_ago = loop.time() - IDLE_SECONDS
        for place, idle in list(self._idle.items()):
            while idle and idle[0].since <= long_ago:
                idle.popleft().connection.close()
            if not idle:
                del self._idle[place]
        self._look = loop.call_later(IDLE_SECONDS / 4, self._close_idle) if self._idle else None


async def _connect(place: tuple[str, int]) -> ResponseHandler:
    """To the first of the addresses of a host that takes a connection. Raises what the last of them did."""
    loop = asyncio.get_running_loop()
    host, port = place
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure = OSError(f"{host} has no address")
    for address in dict.fromkeys(str(address[0]) for *_, address in found):
        try:
            _, connection = await loop.create_connection(lambda: ResponseHandler(loop), address, port)
        except OSError as error:
            failure = error
        else:
            return connection
    raise failure


def _request(url: URL, headers: Mapping[str, str], body: bytes) -> list[bytes]:
    """Its bytes, in one piece if they are few."""
    lines = [
        f"POST {url.raw_path_qs} HTTP/1.1",
        f"Host: {url.host_port_subcomponent}",
        *(f"{name}: {value}" for name, value in headers.items()),
        f"Content-Length: {len(body)}",
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

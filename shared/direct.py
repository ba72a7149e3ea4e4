"""Calls that are answered straight from their connection, past aiohttp.

What aiohttp does between the bytes of a request and its handler, and then to the bytes of the answer, takes as long as
everything else that comes with a small task. So a route may have a direct way as well. It is for requests that come
whole and alone, and ask for nothing special; what they say is read by the parser that aiohttp has for all others, and
whatever is not as plain as that is left to aiohttp, from its first byte.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpProcessingError, HttpRequestParser, HttpVersion11

from shared.reply import Reply

MAX_REQUEST_BYTES = 64 * 1024
"""A larger one mostly comes in parts, and what aiohttp does for it does not count."""

DirectHandler = Callable[[str, bytes], Awaitable[Reply]]
"""Answers a request, given its Authorization header (empty where there is none) and its body."""

Answering = Callable[[str, bytes], Awaitable[bytes]]
"""The same down to the bytes of the answer. It raises nothing."""


class Request(NamedTuple):
    method: str
    path: str
    """As it was sent, with its query."""
    headers: Mapping[str, str]
    body: bytes


DirectRoutes = Mapping[tuple[str, str], Answering]
"""By method and path."""


class Reader:
    """Reads the requests of one connection, as long as each comes whole and alone.

    After the first that does not, it cannot be used any more.
    """

    def __init__(self, protocol: BaseProtocol, loop: asyncio.AbstractEventLoop) -> None:
        # What it leaves compressed is left to aiohttp.
        self._parser = HttpRequestParser(protocol, loop, MAX_REQUEST_BYTES, auto_decompress=False)

    def read(self, data: bytes) -> Request | None:
        """The request that ``data`` is; None if it is less or more than one, or none that can be read, or unusual."""
        if len(data) > MAX_REQUEST_BYTES:
            return None
        try:
            messages, upgraded, tail = self._parser.feed_data(data)
        except HttpProcessingError:
            return None
        if len(messages) != 1 or upgraded or tail:
            return None
        message, payload = messages[0]
        if not payload.is_eof() or message.chunked or message.compression:
            return None
        # Only with HTTP/1.1 does a connection stay without a word about that in the answer.
        if message.should_close or message.version != HttpVersion11:
            return None
        if message.upgrade or "Expect" in message.headers:
            return None
        body = data.partition(b"\r\n\r\n")[2]
        if len(body) != int(message.headers.get("Content-Length", "0")):
            return None  # the parser keeps the beginning of the next head to itself
        return Request(message.method, message.path, message.headers, body)

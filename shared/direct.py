"""Calls that are answered straight from their connection, past aiohttp.

What aiohttp does between the bytes of a request and its handler, and then to the bytes of the answer, takes as long as
everything else that comes with a small task. So a route may have a direct way as well. It is for requests that come
whole and alone, and ask for nothing special; what they say is read by the parser that aiohttp has for all others, and
whatever is not as plain as that is left to aiohttp, from its first byte.
"""

import asyncio
import re
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


_LENGTH = re.compile(rb"(\r\nContent-Length: )[0-9]+(?=\r\n)", re.IGNORECASE)
_END_OF_HEAD = b"\r\n\r\n"


class Head(NamedTuple):
    """What the head of a request says."""

    method: str
    path: str
    """As it was sent, with its query."""
    authorization: str
    """Empty where there is none."""


class Request(NamedTuple):
    head: Head
    body: bytes


class _Known(NamedTuple):
    """A head that the parser has read, as it was sent but for the number of bytes of its body.

    A caller sends the same head again and again. One that differs in this number alone says the same.
    """

    before: bytes
    after: bytes
    head: Head

    @classmethod
    def of(cls, text: bytes, head: Head) -> "_Known | None":
        """Of the whole text of a head; None where it does not tell the number in the usual way."""
        length = _LENGTH.search(text)
        return cls(text[: length.end(1)], text[length.end() :], head) if length else None

    def request(self, data: bytes) -> Request | None:
        """The request that ``data`` is, if it has such a head and is whole and alone."""
        if not data.startswith(self.before):
            return None
        number_start = len(self.before)
        number_end = data.find(b"\r", number_start)
        number = data[number_start:number_end]
        if not (number.isdigit() and data.startswith(self.after, number_end)):
            return None
        body = data[number_end + len(self.after) :]
        return Request(self.head, body) if len(body) == int(number) else None


DirectRoutes = Mapping[tuple[str, str], Answering]
"""By method and path."""


class Reader:
    """Reads the requests of one connection, as long as each comes whole and alone.

    After the first that does not, it cannot be used any more.
    """

    def __init__(self, protocol: BaseProtocol, loop: asyncio.AbstractEventLoop) -> None:
        # What it leaves compressed is left to aiohttp.
        self._parser = HttpRequestParser(protocol, loop, MAX_REQUEST_BYTES, auto_decompress=False)
        self._known: _Known | None = None

    def read(self, data: bytes) -> Request | None:
        """The request that ``data`` is; None if it is less or more than one, or none that can be read, or unusual."""
        if len(data) > MAX_REQUEST_BYTES:
            return None
        return (self._known.request(data) if self._known is not None else None) or self._parse(data)

    def _parse(self, data: bytes) -> Request | None:
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
        text, end, body = data.partition(_END_OF_HEAD)
        if len(body) != int(message.headers.get("Content-Length", "0")):
            return None  # the parser keeps the beginning of the next head to itself
        head = Head(message.method, message.path, message.headers.get("Authorization", ""))
        self._known = _Known.of(text + end, head)
        return Request(head, body)

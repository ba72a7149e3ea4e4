"""Calls that are answered straight from their connection, past aiohttp.

What aiohttp does between the bytes of a request and its handler, and then to the bytes of the answer, takes as long as
everything else that comes with a small task. So a route may have a direct way as well. It is for requests that come
whole and alone, and ask for nothing special; what they say is read by the parser that aiohttp has for all others, and
whatever is not as plain as that is left to aiohttp, from its first byte.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpProcessingError, HttpRequestParser, HttpVersion11
from multidict import CIMultiDict, CIMultiDictProxy

from shared.reply import Reply

MAX_REQUEST_BYTES = 64 * 1024
"""A larger one mostly comes in parts, and what aiohttp does for it does not count."""

_LENGTH = re.compile(rb"(\r\nContent-Length: )[0-9]+(?=\r\n)", re.IGNORECASE)
_END_OF_HEAD = b"\r\n\r\n"


class Head:
    """What the head of a request says.

    It is the same object for all requests of a connection that begin alike, so that what follows from it is found once.
    """

    __slots__ = ("follows", "headers", "method", "path", "route")

    def __init__(self, method: str, path: str, headers: CIMultiDictProxy[str]) -> None:
        self.method = method
        self.path = path
        """As it was sent, with its query."""
        self.headers = headers
        self.route: Found | None = None
        """What answers it, once that was looked up."""
        self.follows: dict[Callable[[DirectCall], object], object] = {}
        """What a handler asked for, by what makes it."""


class Request(NamedTuple):
    head: Head
    body: bytes


class DirectCall(NamedTuple):
    """A request of a route, for its handler."""

    head: Head
    match_info: Mapping[str, str]
    """What the route's path has in braces."""
    remote: str
    """The address of the caller, or of a proxy in between."""
    body: bytes

    @property
    def method(self) -> str:
        return self.head.method

    @property
    def path(self) -> str:
        """Plain: without a query, and nothing in it stands for anything else."""
        return self.head.path

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        return self.head.headers

    def from_head(self, make: "Callable[[DirectCall], Made]") -> "Made":
        """What ``make`` makes of this call. It must look at nothing but its head: those that begin alike share it."""
        made = self.head.follows.get(make)
        if made is None:
            made = self.head.follows[make] = make(self)
        return made  # type: ignore[return-value] # what was kept under what makes it


DirectHandler = Callable[[DirectCall], Awaitable[Reply]]

Answering = Callable[[DirectCall], Awaitable[bytes]]
"""The same down to the bytes of the answer. It raises nothing."""

Found = tuple[Answering, Mapping[str, str]]
"""What answers a path, and what stands there for the names in braces."""

Made = TypeVar("Made")


class _Known(NamedTuple):
    """A head that the parser has read, as it was sent but for the number of bytes of its body.

    A caller sends the same head again and again. One that differs in this number alone says the same else.
    """

    before: bytes
    after: bytes
    head: Head
    body_bytes: int

    @classmethod
    def of(cls, text: bytes, head: Head, body_bytes: int) -> "_Known | None":
        """Of the whole text of a head; None where it does not tell the number in the usual way."""
        length = _LENGTH.search(text)
        return cls(text[: length.end(1)], text[length.end() :], head, body_bytes) if length else None

    def request(self, data: bytes) -> Request | None:
        """The request that ``data`` is, if it has such a head and is whole and alone."""
        if not data.startswith(self.before):
            return None
        number_start = len(self.before)
        number_end = data.find(b"\r", number_start)
        if not data.startswith(self.after, number_end):
            return None
        body = data[number_end + len(self.after) :]
        # Compared as text: to make a number of what was sent could take long, or fail.
        if data[number_start:number_end] != str(len(body)).encode():
            return None
        return Request(self.head if len(body) == self.body_bytes else self._with_length(len(body)), body)

    def _with_length(self, body_bytes: int) -> Head:
        name = self.before[self.before.rfind(b"\n") + 1 :].partition(b":")[0].decode()
        headers = CIMultiDict(self.head.headers)
        headers[name] = str(body_bytes)
        return Head(self.head.method, self.head.path, CIMultiDictProxy(headers))


_PLAIN_SEGMENT = re.compile(r"(?!\.\.?$)[A-Za-z0-9_.~-]+")
_NO_NAMES: Mapping[str, str] = MappingProxyType({})


class DirectRoutes:
    """The routes with a direct way. What a path has in braces stands for any part of a path that is plain text."""

    def __init__(self, routes: Iterable[tuple[str, str, Answering]]) -> None:
        """Of each its method, path and what answers it."""
        self._exact: dict[tuple[str, str], Answering] = {}
        self._patterns: list[tuple[str, list[str], Answering]] = []
        for method, path, answering in routes:
            if "{" in path:
                self._patterns.append((method, path.split("/"), answering))
            else:
                self._exact[method, path] = answering

    def __bool__(self) -> bool:
        return bool(self._exact or self._patterns)

    def of(self, head: Head) -> Found | None:
        """What answers a request, if anything does."""
        if head.route is None:
            head.route = self.find(head.method, head.path)
        return head.route

    def find(self, method: str, path: str) -> Found | None:
        """What answers a path, as it was sent."""
        if (answering := self._exact.get((method, path))) is not None:
            return answering, _NO_NAMES
        segments = path.split("/")
        for of_method, pattern, answering in self._patterns:
            if of_method == method and (names := _match(pattern, segments)) is not None:
                return answering, names
        return None


def _match(pattern: list[str], segments: list[str]) -> Mapping[str, str] | None:
    if len(pattern) != len(segments):
        return None
    names = {}
    for expected, segment in zip(pattern, segments, strict=True):
        if expected.startswith("{"):
            if not _PLAIN_SEGMENT.fullmatch(segment):
                return None
            names[expected[1:-1]] = segment
        elif expected != segment:
            return None
    return names


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
        if message.headers.get("Content-Length", "0") != str(len(body)):
            return None  # the parser keeps the beginning of the next head to itself
        head = Head(message.method, message.path, message.headers)
        self._known = _Known.of(text + end, head, len(body))
        return Request(head, body)

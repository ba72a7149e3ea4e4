"""An HTTP answer as a value, and its bytes for a connection that is answered without aiohttp."""

import functools
import time
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from http import HTTPStatus
from types import MappingProxyType
from typing import NamedTuple

from aiohttp import web

from shared.wire import ErrorBody

JSON_CONTENT_TYPE = "application/json; charset=utf-8"
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


class Reply(NamedTuple):
    """``headers``: a multidict where names stand several times, or in any case; without that of the length."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = NO_HEADERS

    def response(self) -> web.Response:
        """For aiohttp."""
        return web.Response(status=self.status, headers=self.headers, body=self.body)

    def encode(self) -> bytes:
        """As HTTP/1.1, on a connection that stays. Raises ValueError if a header would be more than one line."""
        body = b"" if self.status in WITHOUT_BODY else self.body
        return _head(self.status, tuple(self.headers.items()), len(body), int(time.time())) + body


def error_reply(code: int, message: str, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
    """``{"code", "message"}``, as which every error leaves."""
    body = ErrorBody(code=code, message=message).model_dump_json().encode() + b"\n"
    return Reply(code, body, {"Content-Type": JSON_CONTENT_TYPE, **headers})


@functools.lru_cache(maxsize=64)
def _head(status: int, headers: Sequence[tuple[str, str]], body_bytes: int, unix_seconds: int) -> bytes:
    """Many answers of the same second are alike."""
    lines = [f"HTTP/1.1 {status} {_PHRASES.get(status, '')}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if status not in WITHOUT_BODY:
        lines.append(f"Content-Length: {body_bytes}")
    if not any(name.lower() == "date" for name, _ in headers):
        lines.append(f"Date: {http_date(unix_seconds)}")
    head = "\r\n".join(lines)
    if not head.count("\r") == head.count("\n") == len(lines) - 1 or "\0" in head:
        raise ValueError("a header holds the end of a line, or a zero byte")
    return head.encode() + b"\r\n\r\n"


@functools.lru_cache(maxsize=16)
def http_date(unix_seconds: int) -> str:
    """A moment (s since 1970) as headers write it."""
    return formatdate(unix_seconds, usegmt=True)

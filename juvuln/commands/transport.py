"""HTTP as the commands need it: one server, one set of credentials, one call after another, and clear errors.

Redirections are not followed, since the credentials are for this server and no other.
"""

import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, Self
from urllib.parse import urlsplit

from juvuln.commands.errors import DeniedError, RefusedError, UnknownError, UnreachableError, UsageError
from shared.terminal import harmless

TIMEOUT_SECONDS = 30.0
LONGEST_WAIT_SECONDS = 30.0
"""How long a call is put off, all in all, because the server asks for it."""
REPEATABLE = frozenset({"GET", "PUT", "DELETE"})
"""What may be sent again when a kept connection turns out to be closed: to do it twice is to do it once."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where juvuln is, perhaps below a path of a proxy."""

    scheme: str
    host: str
    port: int | None
    path: str
    url: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises UsageError, which does not repeat what may hold a password."""
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError as error:
            raise UsageError(f"the server's address cannot be read: {error}") from None
        if parts.username is not None or parts.password is not None:
            raise UsageError("the server's address must not hold credentials; give --domain and --token")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{harmless(text)}: a server's address begins with http:// or https:// and has a host")
        if parts.query or parts.fragment or not text.isascii() or not text.isprintable() or " " in text:
            raise UsageError(f"{harmless(text)}: this is not a server's address, such as https://host:8097")
        return cls(parts.scheme, parts.hostname, port, parts.path.rstrip("/"), text.rstrip("/"))

    def connection(self, timeout_seconds: float) -> HTTPConnection:
        """A connection that is not open yet."""
        if self.scheme == "https":
            return HTTPSConnection(self.host, self.port, timeout=timeout_seconds, context=ssl.create_default_context())
        return HTTPConnection(self.host, self.port, timeout=timeout_seconds)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    def __init__(
        self,
        server: Server,
        authorization: str,
        timeout_seconds: float = TIMEOUT_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.server = server
        self._authorization = authorization
        self._timeout_seconds = timeout_seconds
        self._sleep = sleep
        self._kept: HTTPConnection | None = None

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> Reply:
        """The server's answer, if it is a good one. Waits and asks again if the server asks for that.

        Raises UnreachableError and RefusedError.
        """
        waited = 0.0
        while True:
            reply = self._exchange(method, path, body, headers or {}, timeout_seconds or self._timeout_seconds)
            wait_seconds = _asked_to_wait(reply)
            if wait_seconds is None or waited + wait_seconds > LONGEST_WAIT_SECONDS:
                break
            self._sleep(wait_seconds)
            waited += wait_seconds
        _check(reply, self.server)
        return reply

    def json(self, method: str, path: str, content: object = None) -> Any:
        """The JSON of the answer. Raises UnreachableError and RefusedError."""
        body = None if content is None else json.dumps(content).encode()
        headers = {} if content is None else {"Content-Type": "application/json"}
        return self.decode(self.call(method, path, body, headers).body)

    def decode(self, content: bytes) -> Any:
        """The JSON that the server has sent. Raises UnreachableError."""
        try:
            return json.loads(content)
        except ValueError:
            raise UnreachableError(f"{self.server.url} does not answer with JSON; is it juvuln?") from None

    def lines(self, path: str, headers: Mapping[str, str]) -> Iterator[bytes]:
        """The lines of an answer as they come, on a connection of its own. Raises UnreachableError and RefusedError."""
        connection = self.server.connection(self._timeout_seconds)
        try:
            with self._translated():
                connection.request("GET", self.server.path + path, headers=self._headers(headers))
                response = connection.getresponse()
                refused = response.read() if response.status >= 300 else b""
            _check(Reply(response.status, dict(response.headers), refused), self.server)
            while line := self._line(response):
                yield line
        finally:
            connection.close()

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _headers(self, headers: Mapping[str, str]) -> dict[str, bytes]:
        usual = {"Accept": "application/json", "User-Agent": "juvuln"}
        return {
            name: value.encode() for name, value in {**usual, **headers, "Authorization": self._authorization}.items()
        }

    def _line(self, response: HTTPResponse) -> bytes:
        with self._translated():
            return response.readline()

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout_seconds: float
    ) -> Reply:
        if method not in REPEATABLE:
            self.close()
        with self._translated():
            if self._kept is not None:
                try:
                    return self._send(self._kept, method, path, body, headers, timeout_seconds)
                except (HTTPException, ConnectionError):
                    self.close()  # the server has closed what it had kept open for long enough
            self._kept = self.server.connection(timeout_seconds)
            return self._send(self._kept, method, path, body, headers, timeout_seconds)

    def _send(
        self,
        connection: HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        timeout_seconds: float,
    ) -> Reply:
        if connection.sock is not None:
            connection.sock.settimeout(timeout_seconds)
        connection.request(method, self.server.path + path, body, self._headers(headers))
        response = connection.getresponse()
        return Reply(response.status, dict(response.headers), response.read())

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Whatever goes wrong on the way to the server becomes an UnreachableError."""
        try:
            yield
        except TimeoutError:
            self.close()
            raise UnreachableError(f"{self.server.url} gives no answer in time; is juvuln running there?") from None
        except (HTTPException, OSError) as error:
            self.close()
            raise UnreachableError(
                f"{self.server.url} cannot be reached ({_reason(error)}); is juvuln running there?"
            ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return harmless(str(error)) or type(error).__name__


def _asked_to_wait(reply: Reply) -> float | None:
    """Seconds, if the server was asked for too much and says when to ask again: nothing has been done then."""
    wait = next((value for name, value in reply.headers.items() if name.lower() == "retry-after"), "")
    return float(wait) if reply.status == 429 and wait.isascii() and wait.isdigit() else None


def _check(reply: Reply, server: Server) -> None:
    """Raises the error that a reply stands for."""
    if reply.status < 300:
        return
    body = _object(reply.body)
    told = body.get("message")
    message = harmless(told, keep="\n") if isinstance(told, str) else f"{server.url} answers {reply.status}"
    if reply.status < 400:
        raise UnreachableError(f"{server.url} redirects to another address ({reply.status}); give that one")
    if reply.status in (502, 503, 504):
        raise UnreachableError(message)
    kinds: Mapping[int, type[RefusedError]] = {401: DeniedError, 403: DeniedError, 404: UnknownError}
    raise kinds.get(reply.status, RefusedError)(message, reply.status, body)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}

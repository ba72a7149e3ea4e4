"""The commands' HTTP against a real server that behaves in all the ways that servers do."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler

import pytest

from juvuln.commands.errors import DeniedError, RefusedError, UnknownError, UnreachableError, UsageError
from juvuln.commands.transport import Server, Transport
from tests.support.http_server import Answer, Respond, serving
from tests.support.waiting import free_port

SECRET = "Basic c2VjcmV0"


@contextmanager
def calling(respond: Respond, sleep: Callable[[float], None] = time.sleep) -> Iterator[Transport]:
    """A transport to such a server."""
    with serving(respond) as url, transport(url, sleep) as http:
        yield http


@contextmanager
def transport(url: str, sleep: Callable[[float], None] = time.sleep) -> Iterator[Transport]:
    with closing(Transport(Server.parse(url), SECRET, timeout_seconds=5, sleep=sleep)) as made:
        yield made


def refusal(status: int, content: object) -> Respond:
    return lambda _: (status, {}, json.dumps(content).encode())


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RefusedError),
        (401, DeniedError),
        (403, DeniedError),
        (404, UnknownError),
        (409, RefusedError),
        (500, RefusedError),
        (502, UnreachableError),
        (503, UnreachableError),
    ],
)
def test_a_refusal_is_told_in_the_servers_words_made_harmless(status: int, error: type[Exception]) -> None:
    with calling(refusal(status, {"code": status, "message": "no\x1b[2J"})) as http:
        with pytest.raises(error) as raised:
            http.call("GET", "/x")
        assert type(raised.value) is error
        assert str(raised.value) == "no␛[2J"


def test_what_is_not_from_juvuln_is_told_as_such() -> None:
    with (
        calling(lambda _: (418, {}, b"<html>")) as http,
        pytest.raises(RefusedError, match=r"http://127\.0\.0\.1:\d+ answers 418"),
    ):
        http.call("GET", "/x")
    with (
        calling(lambda _: (200, {}, b"<html>")) as http,
        pytest.raises(UnreachableError, match="does not answer with JSON; is it juvuln"),
    ):
        http.json("GET", "/x")


def test_a_redirection_is_not_followed_since_the_token_would_go_with_it() -> None:
    asked: list[str] = []

    def elsewhere(request: BaseHTTPRequestHandler) -> Answer:
        asked.append(request.path)
        return 302, {"Location": "/elsewhere"}, b""

    with calling(elsewhere) as http, pytest.raises(UnreachableError, match="redirects"):
        http.call("GET", "/x")
    assert asked == ["/x"]


def test_a_connection_that_the_server_has_closed_meanwhile_is_no_error() -> None:
    counts: dict[str, int] = {}

    def only_once(request: BaseHTTPRequestHandler) -> Answer | None:
        peer = str(request.client_address)
        counts[peer] = counts.get(peer, 0) + 1
        return (200, {}, b"{}") if counts[peer] == 1 else None

    with calling(only_once) as http:
        assert [http.json("GET", "/x") for _ in range(3)] == [{}, {}, {}]
        http.json("POST", "/x", {})


def test_what_changes_something_each_time_is_never_sent_twice() -> None:
    posts: list[str] = []

    def silent(request: BaseHTTPRequestHandler) -> Answer | None:
        posts.append(request.command)
        return None

    with calling(silent) as http, pytest.raises(UnreachableError):
        http.call("POST", "/x", b"1")
    assert posts == ["POST"]


def test_a_server_that_is_asked_too_much_is_asked_again_when_it_says_so() -> None:
    answers: list[Answer] = [(429, {"Retry-After": "2"}, b"{}"), (429, {"Retry-After": "1"}, b"{}"), (200, {}, b"[]")]
    waits: list[float] = []
    with calling(lambda _: answers.pop(0), waits.append) as http:
        assert http.json("POST", "/x", {}) == []
    assert waits == [2.0, 1.0]


def test_a_server_that_asks_for_too_long_a_wait_is_not_waited_for() -> None:
    waits: list[float] = []
    busy = json.dumps({"message": "too much"}).encode()
    with (
        calling(lambda _: (429, {"Retry-After": "20"}, busy), waits.append) as http,
        pytest.raises(RefusedError, match="too much"),
    ):
        http.call("GET", "/x")
    assert waits == [20.0]


def test_a_server_that_is_silent_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        http = Transport(Server.parse(f"http://127.0.0.1:{silent.getsockname()[1]}"), SECRET, timeout_seconds=0.1)
        with pytest.raises(UnreachableError, match="gives no answer in time"):
            http.call("GET", "/x")


def test_nobody_there_is_said_without_the_token() -> None:
    with transport(f"http://127.0.0.1:{free_port()}") as http, pytest.raises(UnreachableError) as raised:
        http.call("GET", "/x")
    assert "cannot be reached (Connection refused); is juvuln running there?" in str(raised.value)
    assert SECRET not in str(raised.value)


def test_a_server_that_does_not_speak_tls_is_not_reached_by_https() -> None:
    with (
        serving(lambda _: (200, {}, b"{}")) as url,
        transport(url.replace("http:", "https:")) as http,
        pytest.raises(UnreachableError, match="cannot be reached"),
    ):
        http.call("GET", "/x")


def test_lines_come_from_a_stream_until_it_ends() -> None:
    with calling(lambda _: (200, {}, b"one\n\ntwo\n")) as http:
        assert list(http.lines("/x", {})) == [b"one\n", b"\n", b"two\n"]
    with (
        calling(refusal(404, {"message": "there is none"})) as http,
        pytest.raises(UnknownError, match="there is none"),
    ):
        list(http.lines("/x", {}))


@pytest.mark.parametrize(
    ("text", "host", "port", "path"),
    [
        ("http://localhost:8097/", "localhost", 8097, ""),
        ("https://example.org/self/host/", "example.org", None, "/self/host"),
        ("http://[::1]:80", "::1", 80, ""),
    ],
)
def test_the_address_of_a_server(text: str, host: str, port: int | None, path: str) -> None:
    server = Server.parse(text)
    assert (server.host, server.port, server.path) == (host, port, path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost:8097",
        "ftp://x",
        "http://",
        "http://x:99999",
        "http://x/?q",
        "http://x/#f",
        "http://x/a b",
        "http://x/\n",
    ],
)
def test_what_is_no_address_of_a_server(text: str) -> None:
    with pytest.raises(UsageError):
        Server.parse(text)


def test_credentials_in_an_address_are_refused_and_not_shown() -> None:
    with pytest.raises(UsageError) as raised:
        Server.parse("http://ada:s3cret@example.org")
    assert "s3cret" not in str(raised.value)

"""What a daemon says to requests that it does not like, over a real socket."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated

import aiohttp
import pytest
from aiohttp import web
from pydantic import BaseModel, Field

from shared.errors import StartError
from shared.http import Refusal, Route, listening, make_app, read_body, read_model

LIMIT_BYTES = 1000

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Order(BaseModel):
    name: str
    count: Annotated[int, Field(ge=1)]


async def take_order(request: web.Request) -> web.Response:
    order = await read_model(request, Order, LIMIT_BYTES)
    return web.json_response({"got": order.count})


async def take_body(request: web.Request) -> web.Response:
    return web.Response(body=await read_body(request, LIMIT_BYTES))


async def refuse(_request: web.Request) -> web.Response:
    raise Refusal(429, "one at a time", {"Retry-After": "1"})


async def fail(_request: web.Request) -> web.Response:
    raise RuntimeError("hunter2")


async def tell_way(request: web.Request) -> web.Response:
    try:
        way = f"by the router to {request.match_info.route.method}"
    except AssertionError:
        way = "by the shortcut"
    return web.Response(text=way)


ROUTES = [
    Route("POST", "/orders", take_order, "", {}),
    Route("POST", "/bodies", take_body, "", {}),
    Route("GET", "/refused", refuse, "", {}),
    Route("GET", "/broken", fail, "", {}),
    Route("POST", "/short/bodies", take_body, "", {}, shortcut=True),
    Route("GET", "/short/refused", refuse, "", {}, shortcut=True),
    Route("GET", "/short/broken", fail, "", {}, shortcut=True),
    Route("GET", "/short/way", tell_way, "", {}, shortcut=True),
]


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    app = make_app(ROUTES, max_body_bytes=LIMIT_BYTES)
    async with listening(app, "127.0.0.1", 0, port_setting="listen.port", drain_seconds=1) as port:
        yield port


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async with serving() as port:
        yield port


async def exchange(port: int, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send ``request`` as it stands; gives status, headers and body of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(10):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = head.split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
        return int(lines[0].split()[1]), headers, body
    finally:
        writer.close()


def post(path: str, body: bytes, headers: str = "") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b"{", 400, "the body is not JSON: EOF while parsing an object at line 1 column 1"),
        (b"", 400, "the body is not JSON: "),
        (b'"\xff"', 400, "the body is not JSON: "),
        (b"[]", 422, "body: Input should be an object"),
        (b"{}", 422, "name: Field required; count: Field required"),
        (b'{"name": "a", "count": 0}', 422, "count: Input should be greater than or equal to 1"),
        (b'{"name": 1, "count": 1}', 422, "name: Input should be a valid string"),
        (b" " * (LIMIT_BYTES + 1), 413, "the request body exceeds 1000 bytes"),
    ],
)
async def test_a_bad_body_is_refused_with_a_reason(port: int, body: bytes, code: int, message: str) -> None:
    status, headers, answer = await exchange(port, post("/orders", body))
    assert status == code
    assert headers["content-type"].startswith("application/json")
    document = json.loads(answer)
    assert document["code"] == code
    assert message in document["message"]


async def test_a_good_body_is_taken(port: int) -> None:
    status, _, answer = await exchange(port, post("/orders", b'{"name": "a", "count": 3}'))
    assert (status, json.loads(answer)) == (200, {"got": 3})


async def test_a_body_up_to_the_limit_is_taken(port: int) -> None:
    status, _, answer = await exchange(port, post("/bodies", b"x" * LIMIT_BYTES))
    assert (status, len(answer)) == (200, LIMIT_BYTES)


async def test_a_body_of_unknown_length_is_refused_as_soon_as_it_is_too_long(port: int) -> None:
    head = b"POST /bodies HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"100\r\n" + b"x" * 256 + b"\r\n"
    status, headers, _ = await exchange(port, head + chunk * 4)  # and no end
    assert (status, headers["connection"]) == (413, "close")


async def test_a_body_that_cannot_be_decoded_is_the_callers_fault(port: int) -> None:
    status, _, answer = await exchange(port, post("/bodies", b"no gzip at all", "Content-Encoding: gzip\r\n"))
    assert (status, json.loads(answer)["code"]) == (400, 400)


async def test_a_caller_that_hangs_up_in_mid_body_is_no_internal_error(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving() as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /bodies HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    assert "request_failed" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("method", "path", "code", "message", "header"),
    [
        ("GET", "/nowhere", 404, "not found", None),
        ("DELETE", "/orders", 405, "DELETE is not allowed here; allowed: OPTIONS, POST", ("Allow", "OPTIONS,POST")),
        ("GET", "/refused", 429, "one at a time", ("Retry-After", "1")),
        ("GET", "/broken", 500, "internal error; the daemon's log has the details", None),
        ("GET", "/short", 404, "not found", None),
        (
            "DELETE",
            "/short/bodies",
            405,
            "DELETE is not allowed here; allowed: OPTIONS, POST",
            ("Allow", "OPTIONS,POST"),
        ),
        ("GET", "/short/refused", 429, "one at a time", ("Retry-After", "1")),
        ("GET", "/short/broken", 500, "internal error; the daemon's log has the details", None),
    ],
)
async def test_every_error_is_json(
    port: int, method: str, path: str, code: int, message: str, header: tuple[str, str] | None
) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://127.0.0.1:{port}{path}") as response,
    ):
        assert response.status == code
        assert await response.json() == {"code": code, "message": message}
        if header is not None:
            assert response.headers[header[0]] == header[1]


@pytest.mark.parametrize(
    ("path", "way"),
    [
        ("/short/way", b"by the shortcut"),
        ("/short/way?a=b", b"by the router to GET"),
        ("/short/%77ay", b"by the router to GET"),
    ],
)
async def test_a_shortcut_is_for_the_path_as_it_is_always_sent(port: int, path: str, way: bytes) -> None:
    status, _, answer = await exchange(port, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert (status, answer) == (200, way)


@pytest.mark.parametrize("path", ["/bodies", "/short/bodies"])
async def test_a_client_that_waits_with_its_body_is_asked_for_it(port: int, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(10):
        writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n".encode())
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abc")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        assert await reader.readexactly(3) == b"abc"
    writer.close()


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET /refused HTTP/1.1\r\nHost: x\r\nAuthorization: Basic hunter2\x00\r\n\r\n",
        b"GET /refused HTTP/1.1\r\nHost: x\r\nAuthorization : Basic hunter2\r\n\r\n",
        b"GET /refused?token=hunter2\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://hunter2@[::1/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT hunter2[ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /refused HTTP/1.1\r\nHost: x\r\nCookie: hunter2" + b"2" * 9000 + b"\r\n\r\n",
        b"POST /bodies HTTP/1.1\r\nHost: x\r\nContent-Length: hunter2\r\n\r\n",
        b"hunter2\r\n\r\n",
    ],
)
async def test_of_what_is_no_http_nothing_is_repeated_or_logged(
    port: int, request_head: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    status, headers, body = await exchange(port, request_head)
    assert status == 400
    assert headers["content-type"].startswith("application/json")
    answer = json.loads(body)
    assert answer["code"] == 400
    assert answer["message"].startswith("this is no valid HTTP request: ")
    assert b"hunter2" not in body
    assert caplog.text == ""


async def test_a_body_that_cannot_be_decoded_is_not_logged(port: int, caplog: pytest.LogCaptureFixture) -> None:
    status, _, body = await exchange(port, post("/bodies", b"hunter2", "Content-Encoding: gzip\r\n"))
    assert (status, json.loads(body)["code"]) == (400, 400)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(10):
        writer.write(post("/bodies", b"hunter2", "Content-Encoding: gzip\r\n"))
        await reader.read()  # to the end of the connection
    writer.close()
    assert caplog.text == ""


async def test_the_answer_to_head_has_no_body(port: int) -> None:
    async with aiohttp.ClientSession() as session, session.head(f"http://127.0.0.1:{port}/refused") as response:
        assert (response.status, await response.read()) == (429, b"")


async def test_a_taken_port_is_named_together_with_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        opened = listening(
            make_app([], max_body_bytes=1), "127.0.0.1", port, port_setting="listen.port", drain_seconds=1
        )
        with pytest.raises(StartError, match=rf"port {port} on 127.0.0.1 is taken by another program.*listen\.port"):
            await opened.__aenter__()


async def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    opened = listening(make_app([], max_body_bytes=1), "192.0.2.1", 0, port_setting="listen.port", drain_seconds=1)
    with pytest.raises(StartError, match=r"cannot listen on 192\.0\.2\.1:0: "):
        await opened.__aenter__()

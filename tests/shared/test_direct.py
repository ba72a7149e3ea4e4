"""Requests that are answered past aiohttp, over real sockets; each answer tells which way its request took."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from multidict import CIMultiDict

from shared.connections import IDLE_SECONDS, ConnectionCount
from shared.direct import DirectCall, DirectRoutes
from shared.http import Refusal, Route, listening, make_app, read_body
from shared.reply import Reply
from tests.support.waiting import until

DRAIN_SECONDS = 5.0
MAX_BODY_BYTES = 1024 * 1024
BOUND = ContextVar("BOUND", default="")
"""What a call binds to its context, as it does for its log lines."""

LARGE = 32 * 1024 * 1024
"""More than the system takes for a connection whose other end does not read."""


def post(body: bytes, *headers: str, path: str = "/echo", version: str = "1.1") -> bytes:
    lines = [f"POST {path} HTTP/{version}", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


GET = b"GET /usual HTTP/1.1\r\nHost: x\r\n\r\n"


@dataclass
class Echo:
    """Answers with what it was sent. A body of "wait" waits until it is let."""

    let: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    abandoned: asyncio.Event = field(default_factory=asyncio.Event)

    async def usual(self, request: web.Request) -> web.Response:
        return web.Response(body=b"usual " + await read_body(request, MAX_BODY_BYTES))

    async def direct(self, call: DirectCall) -> Reply:
        body, bound = call.body, BOUND.get()
        BOUND.set(body.decode())
        self.asked.set()
        if body == b"refuse":
            raise Refusal(429, "not now", {"Retry-After": "2"})
        if body == b"break":
            raise RuntimeError("this is for the log")
        if body == b"split":
            return Reply(200, b"", {"X-Name": "one\r\nX-Other: two"})
        if body == b"large":
            return Reply(200, b"x" * LARGE)
        if body == b"wait":
            try:
                await self.let.wait()
            except asyncio.CancelledError:
                self.abandoned.set()
                raise
        return Reply(
            200,
            b"direct " + body,
            {
                "X-Given": call.headers.get("Authorization", ""),
                "X-Bound": bound,
                "X-Length": call.headers["Content-Length"],
            },
        )


@asynccontextmanager
async def served(
    echo: Echo,
    *,
    end_abandoned: bool = False,
    drain_seconds: float = DRAIN_SECONDS,
    count: ConnectionCount | None = None,
) -> AsyncIterator[int]:
    routes = [
        Route("POST", "/echo", echo.usual, "", {}, direct=echo.direct),
        Route("GET", "/usual", echo.usual, "", {}),
    ]
    app = make_app(routes, max_body_bytes=MAX_BODY_BYTES)
    serving = listening(
        app,
        "127.0.0.1",
        0,
        port_setting="",
        drain_seconds=drain_seconds,
        count=count,
        end_abandoned=end_abandoned,
    )
    async with serving as port:
        yield port


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def said(self) -> tuple[int, CIMultiDict[str], bytes]:
        """The next answer: status, headers, body."""
        async with asyncio.timeout(20):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = head.strip().split("\r\n")
            headers: CIMultiDict[str] = CIMultiDict()
            for line in lines:
                name, _, value = line.partition(": ")
                headers.add(name, value)
            body = await self.reader.readexactly(int(headers["Content-Length"]))
        return int(status.split()[1]), headers, body

    async def bodies(self, *parts: bytes, answers: int = 1) -> Sequence[bytes]:
        """What is answered when these are sent, each in a packet of its own."""
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()
            await asyncio.sleep(0.01)
        return [(await self.said())[2] for _ in range(answers)]


@asynccontextmanager
async def client_of(port: int) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
async def client(echo: Echo) -> AsyncIterator[Client]:
    async with served(echo) as port, client_of(port) as client:
        yield client


async def test_a_plain_request_takes_the_direct_way_again_and_again(client: Client) -> None:
    for number in range(3):
        body = str(number).encode()
        assert await client.bodies(post(body, "Content-Type: text/plain")) == [b"direct " + body]


async def test_the_ends_of_lines_around_a_request_are_no_part_of_its_body(client: Client) -> None:
    assert await client.bodies(b"\r\n" + post(b"before")) == [b"direct before"]
    assert await client.bodies(post(b"behind") + b"\r\n") == [b"usual behind"]
    assert await client.bodies(post(b"next")) == [b"usual next"]


@pytest.mark.parametrize("cut", [1, 3, 20, len(post(b"2")) - 2])
async def test_of_a_request_that_begins_behind_another_nothing_is_lost(client: Client, cut: int) -> None:
    second = post(b"2")
    answers = await client.bodies(post(b"1") + second[:cut], second[cut:], answers=2)
    assert answers == [b"usual 1", b"usual 2"]


async def test_who_is_of_http_1_0_and_stays_is_told_that_the_connection_does(client: Client) -> None:
    client.writer.write(post(b"old", "Connection: keep-alive", version="1.0"))
    assert (await client.said())[1]["Connection"] == "keep-alive"


async def test_its_answer_has_what_an_answer_has(client: Client) -> None:
    client.writer.write(post(b"hello", "Authorization: Basic abc"))
    status, headers, body = await client.said()
    assert (status, body) == (200, b"direct hello")
    assert headers["X-Given"] == "Basic abc"
    assert headers["Date"].endswith(" GMT")


async def test_refusals_and_errors_are_answered_as_on_the_usual_way(client: Client) -> None:
    client.writer.write(post(b"refuse"))
    status, headers, body = await client.said()
    assert (status, headers["Retry-After"], headers["Content-Type"]) == (429, "2", "application/json; charset=utf-8")
    assert body == b'{"code":429,"message":"not now"}\n'
    client.writer.write(post(b"break"))
    status, _, body = await client.said()
    assert status == 500
    assert b"the daemon's log has the details" in body


async def test_an_answer_whose_header_would_be_two_is_not_sent(client: Client) -> None:
    client.writer.write(post(b"split"))
    status, headers, _ = await client.said()
    assert status == 500
    assert "X-Other" not in headers
    assert await client.bodies(post(b"next")) == [b"direct next"]


@pytest.mark.parametrize(
    ("request_parts", "body"),
    [
        ((post(b"close", "Connection: close"),), b"close"),
        ((post(b"old", version="1.0"),), b"old"),
        ((post(b"old", "Connection: keep-alive", version="1.0"),), b"old"),
        ((post(b"upgrade", "Connection: upgrade", "Upgrade: h2c"),), b"upgrade"),
        ((post(b"query", path="/echo?x=1"),), b"query"),
        ((post(b"in parts")[:-4], b"arts"), b"in parts"),
        ((post(b"in parts")[:20], post(b"in parts")[20:]), b"in parts"),
        ((post(b"x" * 70_000),), b"x" * 70_000),
        ((b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",), b"hi"),
    ],
    ids=[
        "that closes",
        "of HTTP 1.0",
        "of HTTP 1.0 that stays",
        "that upgrades",
        "with a query",
        "in parts",
        "head in parts",
        "large",
        "chunked",
    ],
)
async def test_a_request_that_is_not_so_plain_takes_the_usual_way(
    client: Client, request_parts: Sequence[bytes], body: bytes
) -> None:
    assert await client.bodies(*request_parts) == [b"usual " + body]


async def test_who_waits_to_be_asked_for_the_body_is_asked(client: Client) -> None:
    client.writer.write(post(b"asked", "Expect: 100-continue"))
    assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
    assert (await client.said())[2] == b"usual asked"


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: +2\r\n\r\nab",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nHost: y\r\nContent-Length: 2\r\n\r\nab",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length : 2\r\n\r\nab",
        b"POST /echo HTTP/1.1\nHost: x\nContent-Length: 2\n\nab",
    ],
)
async def test_what_two_readers_could_take_for_different_requests_is_none(client: Client, sent: bytes) -> None:
    client.writer.write(sent)
    status, _, body = await client.said()
    assert status == 400
    assert b"no valid HTTP request" in body


async def test_several_at_once_are_answered_in_their_order(client: Client) -> None:
    both = post(b"1") + post(b"2")
    assert await client.bodies(both, answers=2) == [b"usual 1", b"usual 2"]
    assert await client.bodies(post(b"3")) == [b"usual 3"]


async def test_what_comes_during_a_call_waits_for_its_answer(client: Client, echo: Echo) -> None:
    client.writer.write(post(b"wait"))
    await echo.asked.wait()
    client.writer.write(post(b"next") + GET + post(b"last")[:30])
    await asyncio.sleep(0.05)
    echo.let.set()
    client.writer.write(post(b"last")[30:])
    answers = [(await client.said())[2] for _ in range(4)]
    assert answers == [b"direct wait", b"usual next", b"usual ", b"usual last"]


async def test_what_a_call_bound_to_its_context_is_not_there_in_the_next(client: Client, echo: Echo) -> None:
    client.writer.write(post(b"wait"))
    await echo.asked.wait()
    client.writer.write(post(b"next"))
    await asyncio.sleep(0.05)
    echo.let.set()
    assert [(await client.said())[1]["X-Bound"] for _ in range(2)] == ["", ""]


async def test_a_connection_goes_both_ways_in_turn(client: Client) -> None:
    assert await client.bodies(GET) == [b"usual "]
    assert await client.bodies(post(b"1")) == [b"direct 1"]
    assert await client.bodies(GET) == [b"usual "]
    assert await client.bodies(post(b"2")) == [b"direct 2"]


async def test_what_comes_before_the_usual_way_has_answered_follows_it(client: Client) -> None:
    client.writer.write(GET)
    client.writer.write(post(b"1"))
    assert [(await client.said())[2] for _ in range(2)] == [b"usual ", b"usual 1"]


async def test_calls_that_end_together_are_all_answered(echo: Echo) -> None:
    async with served(echo) as port, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(client_of(port)) for _ in range(5)]
        for client in clients:
            client.writer.write(post(b"wait"))
        await clients[0].writer.drain()
        await asyncio.wait_for(echo.asked.wait(), 20)
        clients[4].writer.close()
        echo.let.set()
        assert [(await client.said())[2] for client in clients[:4]] == [b"direct wait"] * 4
        assert await clients[0].bodies(post(b"next")) == [b"direct next"]


async def test_who_does_not_read_answers_is_not_asked_for_more(echo: Echo) -> None:
    async with served(echo) as port, client_of(port) as client:
        client.writer.write(post(b"large"))
        await echo.asked.wait()
        echo.asked.clear()
        client.writer.write(post(b"next"))
        await asyncio.sleep(0.1)
        assert not echo.asked.is_set()
        assert len((await client.said())[2]) == LARGE
        assert (await client.said())[2] == b"direct next"


@pytest.mark.parametrize("end_abandoned", [True, False])
async def test_a_call_that_nobody_waits_for_ends_where_that_is_wanted(echo: Echo, end_abandoned: bool) -> None:
    async with served(echo, end_abandoned=end_abandoned) as port:
        async with client_of(port) as client:
            client.writer.write(post(b"wait"))
            await echo.asked.wait()
        if end_abandoned:
            await asyncio.wait_for(echo.abandoned.wait(), 10)
        else:
            await asyncio.sleep(0.05)
            assert not echo.abandoned.is_set()
        echo.let.set()


async def test_who_goes_is_noticed_though_more_was_sent(echo: Echo) -> None:
    async with served(echo, end_abandoned=True) as port:
        async with client_of(port) as client:
            client.writer.write(post(b"wait"))
            await echo.asked.wait()
            client.writer.write(post(b"next"))
            await client.writer.drain()
            await asyncio.sleep(0.05)
        await asyncio.wait_for(echo.abandoned.wait(), 10)


async def test_a_flood_during_a_call_is_read_when_its_turn_comes(client: Client, echo: Echo) -> None:
    client.writer.write(post(b"wait"))
    await echo.asked.wait()
    sending = asyncio.create_task(client.bodies(post(b"x" * 1_000_000), answers=2))
    await asyncio.sleep(0.05)
    echo.let.set()
    assert [len(body) for body in await sending] == [len(b"direct wait"), len(b"usual ") + 1_000_000]


async def test_a_server_that_ends_answers_what_it_was_asked(echo: Echo) -> None:
    async with AsyncExitStack() as server:
        port = await server.enter_async_context(served(echo))
        async with client_of(port) as client:
            client.writer.write(post(b"wait"))
            await echo.asked.wait()
            ending = asyncio.create_task(server.aclose())
            await asyncio.sleep(0.05)
            assert not ending.done()
            echo.let.set()
            assert (await client.said())[2] == b"direct wait"
            await asyncio.wait_for(ending, DRAIN_SECONDS)
            assert await client.reader.read() == b""


async def test_a_server_that_ends_waits_no_longer_than_it_may(echo: Echo) -> None:
    async with served(echo, drain_seconds=0.05) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(b"wait"))
        await echo.asked.wait()
    assert echo.abandoned.is_set()
    assert await reader.read() == b""
    writer.close()


def test_the_idle_time_is_longer_than_that_of_our_clients() -> None:
    assert IDLE_SECONDS > 90


async def test_a_connection_that_is_idle_for_too_long_after_a_call_is_closed(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await client.bodies(post(b"1")) == [b"direct 1"]
    monkeypatch.setattr("shared.connections.IDLE_SECONDS", 0.0)
    assert await asyncio.wait_for(client.reader.read(), 10) == b""


async def test_who_does_not_read_an_answer_for_too_long_is_let_go(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    count = ConnectionCount()
    async with served(echo, count=count) as port, client_of(port) as client:
        client.writer.write(post(b"large"))
        await echo.asked.wait()
        monkeypatch.setattr("shared.connections.IDLE_SECONDS", 0.0)

        async def gone() -> bool:
            return count.open == 0

        await until(gone, "the connection is closed")


async def test_a_head_that_differs_in_the_length_of_the_body_alone_says_the_same_else(client: Client) -> None:
    for body in (b"four", b"", b"x" * 5000, b"four"):
        client.writer.write(post(body, "Authorization: Basic abc"))
        _, headers, answered = await client.said()
        assert (headers["X-Given"], answered) == ("Basic abc", b"direct " + body)
        assert headers["X-Length"] == str(len(body))


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (post(b"12", "Authorization: Basic other"), b"direct 12"),
        (post(b"12").replace(b": 2", b": 02"), b"usual 12"),
        (post(b"12").replace(b": 2", b": " + b"0" * 5000 + b"2"), b"usual 12"),
        (post(b"12") + post(b"34"), b"usual 12"),
        (post(b"12", "Connection: close"), b"usual 12"),
        (post(b"12").replace(b": 2", b":2"), b"direct 12"),
    ],
    ids=["other credentials", "a zero in front", "many zeros in front", "two at once", "one that closes", "no blank"],
)
async def test_a_head_that_is_not_like_the_one_before_is_read_anew(
    client: Client, sent: bytes, expected: bytes
) -> None:
    assert await client.bodies(post(b"first")) == [b"direct first"]
    assert await client.bodies(sent) == [expected]


@pytest.mark.parametrize("number", [b"+2", b"-2", b"2 2", b"0x2", b"", b"2\r\nContent-Length: 3", "٢".encode()])
async def test_a_length_that_is_none_is_refused_after_a_good_one_too(client: Client, number: bytes) -> None:
    assert await client.bodies(post(b"first")) == [b"direct first"]
    client.writer.write(post(b"12").replace(b": 2", b": " + number))
    assert (await client.said())[0] == 400


async def test_a_body_that_looks_like_a_head_is_a_body(client: Client) -> None:
    inner = post(b"inner")
    assert await client.bodies(post(inner)) == [b"direct " + inner]
    assert await client.bodies(post(inner + b"!")) == [b"direct " + inner + b"!"]


async def answer_nothing(_call: DirectCall) -> bytes:
    return b""


ROUTES = DirectRoutes(
    [
        ("POST", "/echo", answer_nothing),
        ("POST", "/of/{domain}/{uuid}", answer_nothing),
        ("GET", "/of/{domain}", answer_nothing),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "names"),
    [
        ("POST", "/echo", {}),
        ("POST", "/of/a-b.c_d~/1", {"domain": "a-b.c_d~", "uuid": "1"}),
        ("GET", "/of/...", {"domain": "..."}),
    ],
)
def test_a_path_is_found_with_what_stands_for_its_names(method: str, path: str, names: dict[str, str]) -> None:
    found = ROUTES.find(method, path)
    assert found is not None
    assert found[1] == names


@pytest.mark.parametrize(
    "path",
    [
        "/of/a",
        "/of/a/b/c",
        "/of/a/",
        "/of//b",
        "//of/a/b",
        "/of/a/b?",
        "/of/a/b?c",
        "/of/a/b#c",
        "/of/a/%62",
        "/of/a/b\n",
        "/of/a/\xe9",
        "/of/./b",
        "/of/../b",
        "/of/a/..",
        "http://x/of/a/b",
        "/OF/a/b",
        "*",
        "",
    ],
)
def test_a_path_that_is_none_of_them_or_may_stand_for_another_is_not_found(path: str) -> None:
    assert ROUTES.find("POST", path) is None

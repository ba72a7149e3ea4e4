"""Connections that say nothing, or not enough, over real sockets."""

import asyncio
import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from shared.config import ConnectionLimits
from shared.connections import affordable_connections
from shared.http import Route, listening, make_app, read_body

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[..., Awaitable[Stream]]
REQUEST = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"


class Slow:
    """A handler that answers when it is let."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.asked = asyncio.Event()

    async def handle(self, _request: web.Request) -> web.Response:
        self.asked.set()
        await self.let.wait()
        return web.Response(text="done")


async def quick(_request: web.Request) -> web.Response:
    return web.Response(text="quick")


async def take(request: web.Request) -> web.Response:
    return web.Response(body=await read_body(request, 1000))


@asynccontextmanager
async def served(slow: Slow, **limits: float) -> AsyncIterator[int]:
    routes = [
        Route("GET", "/slow", slow.handle, "", {}),
        Route("GET", "/quick", quick, "", {}, shortcut=True),
        Route("POST", "/take", take, "", {}, shortcut=True),
    ]
    app = make_app(routes, max_body_bytes=1000)
    section = ConnectionLimits.model_validate(limits)
    async with listening(app, "127.0.0.1", 0, port_setting="", drain_seconds=1, limits=section) as port:
        yield port


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Opens a connection, which is closed at the end, and sends some bytes on it."""
    writers: list[asyncio.StreamWriter] = []

    async def opened(port: int, sent: bytes = b"") -> Stream:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        writer.write(sent)
        return reader, writer

    yield opened
    for writer in writers:
        writer.close()
    await asyncio.gather(*[writer.wait_closed() for writer in writers], return_exceptions=True)


async def answer(stream: Stream, sent: bytes = b"") -> bytes:
    """The next answer on a connection; empty if it is closed."""
    reader, writer = stream
    writer.write(sent)
    async with asyncio.timeout(10):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionResetError):
            return b""
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return head + await reader.readexactly(length)


async def is_open(stream: Stream) -> bool:
    return (await answer(stream, b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n")).endswith(b"quick")


@pytest.mark.parametrize("sent", [b"", b"GET /quick HTTP/1.1\r\nHo"])
async def test_a_connection_without_a_whole_head_is_closed(sent: bytes, connect: Connect) -> None:
    async with served(Slow(), head_timeout_seconds=0.2) as port:
        assert await answer(await connect(port, sent)) == b""


async def test_the_head_of_a_later_request_has_its_time_too_from_its_first_byte_on(connect: Connect) -> None:
    async with served(Slow(), head_timeout_seconds=0.2) as port:
        stream = await connect(port)
        assert await is_open(stream)
        await asyncio.sleep(0.5)  # idle, which it may be
        assert await is_open(stream)
        assert await answer(stream, b"GET /quick") == b""


async def test_a_request_that_takes_longer_than_a_head_may_is_answered(connect: Connect) -> None:
    slow = Slow()
    async with served(slow, head_timeout_seconds=0.1) as port:
        stream = await connect(port, REQUEST)
        await asyncio.sleep(0.4)
        slow.let.set()
        assert (await answer(stream)).endswith(b"done")
        assert await is_open(stream)


async def test_a_body_that_does_not_arrive_gets_408(connect: Connect) -> None:
    async with served(Slow(), body_timeout_seconds=0.2) as port:
        head = b"POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
        stream = await connect(port, head + b"12")
        said = await answer(stream)
        assert said.startswith(b"HTTP/1.1 408 ")
        assert b"did not arrive within 0.2 s" in said
        assert await stream[0].read() == b""
        stream = await connect(port, head + b"12")
        assert (await answer(stream, b"345")).endswith(b"12345")


async def test_where_there_is_no_room_the_longest_silent_one_makes_room_but_nobody_who_was_heard(
    connect: Connect,
) -> None:
    slow = Slow()
    async with served(slow, connections=16) as port:
        working = await connect(port, REQUEST)
        await slow.asked.wait()
        silent = [await connect(port) for _ in range(15)]
        assert await is_open(silent[0])
        newest = await connect(port)
        assert await is_open(newest)
        assert [await is_open(each) for each in silent] == [True, False] + [True] * 13
        slow.let.set()
        assert (await answer(working)).endswith(b"done")


async def test_where_all_are_at_work_one_more_is_not_taken(connect: Connect) -> None:
    slow = Slow()
    async with served(slow, connections=16) as port:
        working = [await connect(port, REQUEST) for _ in range(16)]
        await slow.asked.wait()
        assert not await is_open(await connect(port)) or not await is_open(await connect(port))
        slow.let.set()
        answers = [await answer(each) for each in working]
        assert all(each.endswith(b"done") for each in answers)
        assert await is_open(await connect(port))


def test_half_of_the_descriptors_are_left_for_everything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for allowed, affordable in ((1024, 512), (1_000_000, 10_000), (resource.RLIM_INFINITY, 10_000)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=allowed: (soft, soft))
        assert affordable_connections(10_000) == affordable

"""Lines that are sent as they come, over real connections."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web
from structlog.testing import capture_logs

from shared.http import json_errors, listening
from shared.streams import Lines, Streams
from tests.support.waiting import until


@asynccontextmanager
async def serving(streams: Streams, lines: Callable[[], Lines]) -> AsyncIterator[str]:
    async def handler(request: web.Request) -> web.StreamResponse:
        return await streams.send(request, lines(), "text/plain")

    app = web.Application(middlewares=[json_errors()])
    app.router.add_get("/", handler)
    async with listening(app, "127.0.0.1", 0, port_setting="", drain_seconds=0.1) as port:
        yield f"http://127.0.0.1:{port}/"


async def endless() -> Lines:
    yield b"first\n"
    await asyncio.Event().wait()


async def none_open(streams: Streams) -> None:
    async def closed() -> bool:
        return not len(streams)

    await until(closed, "the stream is given up")


async def test_an_empty_line_is_a_sign_of_life_and_shows_that_the_reader_has_gone() -> None:
    streams = Streams(1, sign_of_life_seconds=0.02)
    async with serving(streams, endless) as url, aiohttp.ClientSession() as session:
        async with session.get(url) as answer:
            assert [await answer.content.readline() for _ in range(3)] == [b"first\n", b"\n", b"\n"]
            assert len(streams) == 1
        await none_open(streams)


async def test_past_the_most_it_is_refused_and_a_place_that_is_left_is_taken_again() -> None:
    streams = Streams(1, sign_of_life_seconds=0.02)
    async with serving(streams, endless) as url, aiohttp.ClientSession() as session:
        async with session.get(url) as answer:
            await answer.content.readline()
            async with session.get(url) as refused:
                assert (refused.status, refused.headers["Retry-After"]) == (429, "5")
        await none_open(streams)
        async with session.get(url) as answer:
            assert await answer.content.readline() == b"first\n"


async def test_stopping_ends_all_streams_after_what_is_still_to_come() -> None:
    last = asyncio.Event()

    async def lines() -> Lines:
        yield b"first\n"
        await last.wait()
        yield b"last\n"

    for source, expected in ((endless, b""), (lines, b"last\n")):
        streams = Streams(2)
        async with serving(streams, source) as url, aiohttp.ClientSession() as session, session.get(url) as answer:
            assert await answer.content.readline() == b"first\n"
            streams.stop()
            last.set()
            assert await answer.content.read() == expected


async def test_a_source_that_fails_breaks_the_answer_off_and_is_told_of() -> None:
    async def failing() -> Lines:
        yield b"first\n"
        raise ValueError("no more")

    with capture_logs() as logs:
        async with serving(Streams(1), failing) as url, aiohttp.ClientSession() as session, session.get(url) as answer:
            broken = await _outcome(answer.content.read())
    assert isinstance(broken, aiohttp.ClientPayloadError)
    assert [(line["event"], line["reason"]) for line in logs] == [("stream_broken_off", "no more")]


async def _outcome(reading: Awaitable[bytes]) -> object:
    try:
        return await reading
    except aiohttp.ClientError as error:
        return error

"""Connections to workers: kept while they are good, and never with the answer of another call."""

import asyncio
import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from yarl import URL

from juvuln import worker_connections
from juvuln.worker_connections import NoConnectionError, WorkerConnections
from tests.support.waiting import free_port

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

DONE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"


class Server:
    """Counts the connections that it was made."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self.made = 0
        self._closed: asyncio.Queue[None] = asyncio.Queue()

    def note_closed(self) -> None:
        self._closed.put_nowait(None)

    async def one_closed(self) -> None:
        """Wait until one more of them has ended."""
        async with asyncio.timeout(5):
            await self._closed.get()


@asynccontextmanager
async def server(talk: Talk) -> AsyncIterator[Server]:
    port = free_port()
    found = Server(URL(f"http://127.0.0.1:{port}/v1/tasks"))

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.made += 1
        try:
            await talk(reader, writer)
            await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            found.note_closed()
            writer.close()

    listening = await asyncio.start_server(count, "127.0.0.1", port)
    try:
        yield found
    finally:
        listening.close()


@pytest.fixture
async def connections() -> AsyncIterator[WorkerConnections]:
    opened = WorkerConnections(connect_timeout_seconds=5.0)
    yield opened
    opened.close()


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    return head, await reader.readexactly(length)


def answering(*answers: bytes) -> Talk:
    """Each request of a connection with the next of these."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await read_request(reader)
            writer.write(answer)

    return talk


async def posted(connections: WorkerConnections, url: URL, body: bytes = b"{}") -> bytes:
    async with connections.post(url, {"Content-Type": "application/json"}, body) as answer:
        return b"".join([chunk async for chunk in answer.content.iter_any()])


async def test_calls_one_after_another_share_a_connection(connections: WorkerConnections) -> None:
    async with server(answering(*[DONE] * 10)) as there:
        for _ in range(10):
            assert await posted(connections, there.url) == b"done"
        assert there.made == 1


async def test_calls_at_once_have_a_connection_each(connections: WorkerConnections) -> None:
    async with server(answering(DONE, DONE)) as there:
        assert await asyncio.gather(*[posted(connections, there.url) for _ in range(5)]) == [b"done"] * 5
        assert there.made == 5


async def test_a_request_says_where_it_goes_and_how_long_it_is(connections: WorkerConnections) -> None:
    heard = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            heard.append(await read_request(reader))
            writer.write(DONE)

    long = b"x" * 1_000_000
    async with server(talk) as there:
        await posted(connections, there.url, b"{}")
        await posted(connections, there.url, long)
        head = (
            f"POST /v1/tasks HTTP/1.1\r\nHost: 127.0.0.1:{there.url.port}\r\nContent-Type: application/json\r\n"
            "Content-Length: {}\r\n\r\n"
        )
    assert heard == [(head.format(2).encode(), b"{}"), (head.format(1_000_000).encode(), long)]


async def test_a_call_that_is_given_up_takes_its_connection_with_it(connections: WorkerConnections) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, body = await read_request(reader)
        if body == b"slow":
            await asyncio.sleep(0.2)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + body)

    async with server(talk) as there:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await posted(connections, there.url, b"slow")
        assert await posted(connections, there.url, b"fast") == b"fast"
        assert there.made == 2
        await there.one_closed()


async def test_an_answer_that_is_not_read_to_its_end_takes_its_connection_with_it(
    connections: WorkerConnections,
) -> None:
    begun = iter([True, False])

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answering(DONE[:-1] if next(begun) else DONE)(reader, writer)

    async with server(talk) as there:
        async with connections.post(there.url, {}, b"{}") as answer:
            assert answer.status == 200
        assert await posted(connections, there.url) == b"done"
        assert there.made == 2


@pytest.mark.parametrize(
    "answer",
    [DONE.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"), DONE.replace(b"1.1", b"1.0")],
    ids=["said to be closed", "HTTP/1.0"],
)
async def test_a_connection_that_can_serve_no_other_call_is_not_kept(
    connections: WorkerConnections, answer: bytes
) -> None:
    async with server(answering(answer)) as there:
        for _ in range(2):
            assert await posted(connections, there.url) == b"done"
        assert there.made == 2


async def test_a_connection_that_the_worker_closed_is_replaced(connections: WorkerConnections) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answering(DONE)(reader, writer)
        writer.close()

    async with server(talk) as there:
        for _ in range(2):
            assert await posted(connections, there.url) == b"done"
            await there.one_closed()
            await asyncio.sleep(0.01)
        assert there.made == 2


async def test_an_idle_connection_is_closed(connections: WorkerConnections, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_connections, "IDLE_SECONDS", 0.05)
    async with server(answering(DONE)) as there:
        await posted(connections, there.url)
        await there.one_closed()


async def test_what_comes_without_being_asked_for_is_no_answer_to_the_next_call(connections: WorkerConnections) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answering(DONE)(reader, writer)
        await asyncio.sleep(0.02)
        writer.write(DONE.replace(b"done", b"late"))

    async with server(talk) as there:
        assert await posted(connections, there.url) == b"done"
        await asyncio.sleep(0.1)
        assert await posted(connections, there.url) == b"done"
        assert there.made == 2


async def test_who_answers_before_the_request_is_there_gets_no_other_on_this_connection(
    connections: WorkerConnections,
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(DONE)
        await asyncio.sleep(0.1)

    async with server(talk) as there:
        for count in (1, 2):
            assert await posted(connections, there.url, b"x" * 9_000_000) == b"done"
            assert there.made == count


async def test_a_call_that_ends_after_the_close_keeps_nothing_open(connections: WorkerConnections) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await asyncio.sleep(0.05)
        writer.write(DONE)

    async with server(talk) as there:
        call = asyncio.create_task(posted(connections, there.url))
        await asyncio.sleep(0.02)
        connections.close()
        assert await call == b"done"
        await there.one_closed()


async def test_words_before_the_answer_are_not_the_answer(connections: WorkerConnections) -> None:
    async with server(answering(b"HTTP/1.1 100 Continue\r\n\r\n" + DONE)) as there:
        assert await posted(connections, there.url) == b"done"


async def test_an_answer_of_unknown_length_goes_to_the_end_of_the_connection(connections: WorkerConnections) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answering(b"HTTP/1.1 200 OK\r\n\r\nsome ")(reader, writer)
        await asyncio.sleep(0.01)
        writer.write(b"words")
        writer.close()

    async with server(talk) as there:
        assert await posted(connections, there.url) == b"some words"


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200", b"SSH-2.0-here\r\n\r\n", DONE[:-1], DONE + b"more"])
async def test_an_answer_that_breaks_off_or_is_none_is_told(connections: WorkerConnections, answer: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answering(answer)(reader, writer)
        writer.close()

    async with server(talk) as there:
        with pytest.raises(aiohttp.ClientError):
            await posted(connections, there.url)


async def test_where_nobody_listens_the_systems_words_are_told(connections: WorkerConnections) -> None:
    with pytest.raises(NoConnectionError) as raised:
        await posted(connections, URL(f"http://127.0.0.1:{free_port()}/v1/tasks"))
    assert isinstance(raised.value.__cause__, OSError)
    assert raised.value.__cause__.errno == errno.ECONNREFUSED


async def test_a_host_that_does_not_exist_is_no_connection(connections: WorkerConnections) -> None:
    with pytest.raises(NoConnectionError):
        await posted(connections, URL("http://nobody.invalid/v1/tasks"))

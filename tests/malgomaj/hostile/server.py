"""A web server as no client would wish for: it hangs, drips, floods, and sends in circles."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

CHUNK = bytes(64 * 1024)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
BOMB = gzip.compress(bytes(256 * 1024 * 1024), compresslevel=6)
"""256 MiB of zeros in 256 KiB."""

Write = Callable[[bytes], Awaitable[None]]


async def _hang(_write: Write) -> None:
    await asyncio.sleep(3600)


async def _drip(write: Write) -> None:
    await write(HEAD + b"Content-Length: 1000000\r\n\r\n")
    while True:
        await write(b".")
        await asyncio.sleep(1)


async def _flood(write: Write) -> None:
    await write(HEAD + b"Content-Length: 10737418240\r\n\r\n")
    while True:
        await write(CHUNK)


async def _redirect(write: Write) -> None:
    await write(b"HTTP/1.1 302 Found\r\nLocation: /redirect\r\nContent-Length: 0\r\n\r\n")


async def _headers(write: Write) -> None:
    await write(HEAD)
    while True:
        await write(b"X-More: " + CHUNK.replace(b"\0", b"a") + b"\r\n")


async def _bomb(write: Write) -> None:
    await write(HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB)


_ANSWERS = {
    b"/hang": _hang,
    b"/drip": _drip,
    b"/flood": _flood,
    b"/redirect": _redirect,
    b"/headers": _headers,
    b"/bomb": _bomb,
}


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    async def write(data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    try:
        while request := await reader.readuntil(b"\r\n\r\n"):
            await _ANSWERS[request.split(b" ", 2)[1]](write)
    except (ConnectionError, asyncio.IncompleteReadError):
        pass  # the client has seen enough
    finally:
        writer.close()


@asynccontextmanager
async def hostile_server() -> AsyncIterator[str]:
    """Its URL, on loopback; whatever is still hanging ends with it."""
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_serve(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        tasks = list(connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

"""Whoever has an answer finds in the log what was said of it, over real sockets and a real file."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE

import pytest
import structlog
from aiohttp import web

from shared.direct import DirectCall
from shared.http import Route, listening, make_app
from shared.reply import Reply

CALLS = 200
LARGE_BYTES = 100_000
log = structlog.get_logger()


class Server:
    """A daemon that says of each call that there was one. Its port is the first line that it prints."""

    async def handle(self, _request: web.Request) -> web.Response:
        log.info("handled")
        return web.Response(text="done")

    async def answer_directly(self, call: DirectCall) -> Reply:
        await asyncio.sleep(0)  # so that calls that come together end in one turn of the loop
        log.info("handled")
        return Reply(200, b"x" * (LARGE_BYTES if call.body else 4))

    async def reload(self) -> None: ...
    async def drain(self) -> None: ...


@asynccontextmanager
async def opened() -> AsyncIterator[Server]:
    server = Server()
    routes = [
        Route("POST", "/direct", server.handle, "", {}, direct=server.answer_directly),
        Route("POST", "/aiohttp", server.handle, "", {}),
    ]
    app = make_app(routes, max_body_bytes=1000)
    async with listening(app, "127.0.0.1", 0, port_setting="", drain_seconds=1) as port:
        print(port, flush=True)
        yield server


@pytest.mark.parametrize(
    ("path", "body", "together"), [("/direct", b"", 1), ("/direct", b"", 3), ("/direct", b"!", 1), ("/aiohttp", b"", 1)]
)
async def test_what_was_said_of_a_call_is_in_the_log_before_its_answer(
    path: str, body: bytes, together: int, tmp_path: Path
) -> None:
    file = tmp_path / "log"
    with file.open("wb") as written:
        server = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.shared.test_log_before_answer", stdout=PIPE, stderr=written
        )
    try:
        assert server.stdout is not None
        port = int(await server.stdout.readline())
        await asyncio.to_thread(_call_and_look, port, path, body, together, file)
    finally:
        server.terminate()
        assert await server.wait() == 0


def _call_and_look(port: int, path: str, body: bytes, together: int, log_file: Path) -> None:
    """Calls that wait for nothing but the answer, so that a line that is late is not there."""
    request = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (path.encode(), len(body), body)
    answer_bytes = LARGE_BYTES if body else 4
    connections = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(together)]
    try:
        for number in range(CALLS):
            for connection in connections:
                connection.sendall(request)
            for connection in connections:
                received = connection.recv(65_536)
                lines = log_file.read_bytes().count(b'"handled"')
                assert received.startswith(b"HTTP/1.1 200")
                assert lines > number * together
                content = received.partition(b"\r\n\r\n")[2]
                while len(content) < answer_bytes:
                    content += connection.recv(65_536)
            assert log_file.read_bytes().count(b'"handled"') == (number + 1) * together
    finally:
        for connection in connections:
            connection.close()


if __name__ == "__main__":
    from shared.daemon import run_daemon
    from shared.logging import configure_logging
    from shared.notify import SystemdNotifier

    lines = configure_logging("server", log_format="json")
    sys.exit(run_daemon(opened(), SystemdNotifier.from_environment({}), lines))

"""Both daemons, started as an operator would, in a folder that goes away; and a stand-in for the manager."""

import asyncio
import base64
import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

READY_TIMEOUT_SECONDS = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Daemon:
    name: str
    port: int
    pid: int
    ready_seconds: float
    """From its start until it was ready."""


@asynccontextmanager
async def daemon(name: str, folder: Path, port: int, path: str, **settings: str) -> AsyncIterator[Daemon]:
    """Start a daemon and wait until ``path`` answers 200."""
    environ = {f"{name.upper()}_{key}": value for key, value in settings.items()}
    environ |= {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        f"{name.upper()}_LISTEN__PORT": str(port),
        f"{name.upper()}_STATE_DIR": str(folder),
    }
    started = time.perf_counter()
    with (folder / f"{name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name(name), env=environ, stderr=log, stdin=asyncio.subprocess.DEVNULL
        )
    try:
        await _until_answers(f"http://127.0.0.1:{port}{path}")
        yield Daemon(name, port, process.pid, time.perf_counter() - started)
    finally:
        process.terminate()
        await process.wait()


async def _until_answers(url: str) -> None:
    async with asyncio.timeout(READY_TIMEOUT_SECONDS), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass  # it does not listen yet
            await asyncio.sleep(0.01)


@asynccontextmanager
async def subscriber_desk() -> AsyncIterator[tuple[int, asyncio.Future[str]]]:
    """What a worker needs of a manager to introduce itself: a port, and the authority that it will have told there."""
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def subscribe(request: web.Request) -> web.Response:
        if not told.done():
            told.set_result((await request.json())["authority"])
        return web.Response(status=201)

    async def known(_request: web.Request) -> web.Response:
        return web.Response(status=204 if told.done() else 404)

    app = web.Application()
    app.router.add_post("/v1/subscribers", subscribe)
    app.router.add_route("*", "/v1/subscribers/{rest:.*}", known)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1], told
    finally:
        await runner.cleanup()


def http_request(method: str, path: str, port: int, body: bytes, credentials: str, content_type: str) -> bytes:
    """The bytes of a request."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Authorization: Basic {base64.b64encode(credentials.encode()).decode()}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def run_load(port: int, connections: int, seconds: float, request: bytes) -> dict[str, Any]:
    """The load generator, in a process of its own."""
    import json

    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.load",
        "127.0.0.1",
        str(port),
        str(connections),
        str(seconds),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate(request)
    measured: dict[str, Any] = json.loads(output)
    return measured


def memory_mib(pid: int) -> float:
    """Resident memory of a process, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise LookupError(f"process {pid} has no memory")


def children(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]

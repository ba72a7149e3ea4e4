"""Both daemons, started as an operator would, in a folder that goes away; and a stand-in for the manager."""

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import yaml
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
        await until_answers(f"http://127.0.0.1:{port}{path}")
        yield Daemon(name, port, process.pid, time.perf_counter() - started)
    finally:
        process.terminate()
        await process.wait()


async def until_answers(url: str, json: object = None) -> None:
    """Wait until the URL answers 200: to GET, or to POST where there is something to send."""
    async with asyncio.timeout(READY_TIMEOUT_SECONDS), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.request("GET" if json is None else "POST", url, json=json) as answer:
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


def memory_mb(pid: int) -> float:
    """Resident memory of a process, in MB (10^6 bytes)."""
    return _memory_mb(Path(f"/proc/{pid}/status"), "VmRSS:")


def memory_of_its_own_mb(pid: int) -> float:
    """The same, but of pages that it shares with other processes only its share: these add up to what all take."""
    return _memory_mb(Path(f"/proc/{pid}/smaps_rollup"), "Pss:")


def _memory_mb(file: Path, what: str) -> float:
    for line in file.read_text(encoding="ascii").splitlines():
        if line.startswith(what):
            return int(line.split()[1]) * 1024 / 1e6
    raise LookupError(f"{file} does not tell {what}")


def processor_seconds(pid: int) -> float:
    """User and system time of all threads of a process so far."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text(encoding="ascii").split()[0]) for thread in threads) / 1e9


def children(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


@asynccontextmanager
async def worker_alone(folder: Path) -> AsyncIterator[tuple[Daemon, str]]:
    """A worker without a manager, and the credentials that it takes tasks with."""
    async with subscriber_desk() as (desk, told):
        settings = {"PROGRAM_MANAGER__AUTHORITY": f"127.0.0.1:{desk}"}
        async with daemon("malgomaj", folder, free_port(), "/readyz", **settings) as worker:
            yield worker, (await told).rpartition("@")[0]


@asynccontextmanager
async def both_daemons(
    folder: Path, urls: Mapping[str, str], workers: int = 1, **settings: str
) -> AsyncIterator[tuple[Daemon, Sequence[Daemon]]]:
    """A manager of these domains, with these settings, and its workers, started together."""
    file = folder / "domains.yaml"
    file.write_text(yaml.safe_dump({"domains": dict(urls)}), encoding="utf-8")
    port = free_port()
    async with AsyncExitStack() as stack:
        manager = daemon("juvuln", folder, port, "/readyz", DOMAINFILE=str(file), **settings)
        places = [folder / f"worker-{number}" for number in range(workers)]
        for place in places:
            place.mkdir()
        ready = [worker_of(port, place, folder) for place in places]
        started = await asyncio.gather(*map(stack.enter_async_context, [manager, *ready]))
        yield started[0], started[1:]


def worker_of(manager_port: int, place: Path, folder: Path) -> AbstractAsyncContextManager[Daemon]:
    """A worker with its state in ``place``, for the manager whose state is in ``folder``."""
    settings = {"PROGRAM_MANAGER__AUTHORITY": f"127.0.0.1:{manager_port}"}
    return daemon("malgomaj", place, free_port(), "/readyz", SECRET_FILE=str(folder / "secret"), **settings)

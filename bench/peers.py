"""What the daemons are measured beside, each as a process of its own on loopback."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from bench.installation import free_port, until_answers
from bench.tools import BENCH, BUILD, built

NODE_RED = BUILD.parent / "node-red" / "node_modules" / "node-red" / "red.js"
NODE_RED_PATH = "/greet"


@asynccontextmanager
async def _printing_its_port(*command: str | Path) -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=BENCH.parent)
    try:
        assert process.stdout is not None
        yield int(await process.stdout.readline())
    finally:
        process.terminate()
        await process.wait()


def peer_go() -> AbstractAsyncContextManager[int]:
    """Plain Go in the manner of the original worker: its port."""
    return _printing_its_port(built("peer_go"), "serve")


def bare_go() -> AbstractAsyncContextManager[int]:
    """A Go server that answers everything with nothing."""
    return _printing_its_port(built("peer_go"), "bare")


def bare_aiohttp() -> AbstractAsyncContextManager[int]:
    """An endpoint of aiohttp that answers with nothing."""
    return _printing_its_port(sys.executable, "-m", "bench.bare_aiohttp")


def has_node_red() -> bool:
    """Whether `make bench-peers` has installed it."""
    return NODE_RED.exists()


@asynccontextmanager
async def node_red(folder: Path) -> AsyncIterator[int]:
    """Node-RED with the flow of node_red/flows.json."""
    home = folder / "node-red"
    shutil.copytree(BENCH / "node_red", home)
    port = free_port()
    command = ("node", NODE_RED, "--port", str(port), "--settings", home / "settings.js", "--userDir", home)
    environ = {"PATH": os.environ["PATH"], "HOME": str(home)}
    with (folder / "node-red.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, home / "flows.json", env=environ, cwd=home, stdout=log, stderr=log
        )
    try:
        await until_answers(f"http://127.0.0.1:{port}{NODE_RED_PATH}", json={"name": "Ada"})
        yield port
    finally:
        process.terminate()
        await process.wait()

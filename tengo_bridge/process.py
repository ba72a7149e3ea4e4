"""The process of an executor: started so that it loads nothing of ours but what it needs, and its death explained."""

import asyncio
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from shared.wire import ProgramError
from tengo_bridge.crashes import StderrExcerpt, explain_death

CRASH_SECONDS = 0.2
"""How long one that has closed its socket with work inside may take to say why."""


async def spawn_process(
    memory_bytes: int, environment: Mapping[str, str]
) -> tuple[asyncio.subprocess.Process, socket.socket]:
    """A new executor process and our end of its socket; when that is closed, it ends by itself.

    ``environment`` is all that it gets. Raises OSError if there can be no process.
    """
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            return await _spawn(theirs.fileno(), memory_bytes, environment), ours
    except BaseException:
        ours.close()
        raise


async def _spawn(descriptor: int, memory_bytes: int, environment: Mapping[str, str]) -> asyncio.subprocess.Process:
    arguments = ["--fd", str(descriptor), "--parent", str(os.getpid()), "--memory-bytes", str(memory_bytes)]
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-S",
        str(_entry_point()),
        *arguments,
        pass_fds=[descriptor],
        env=environment,
        cwd="/",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )


def _entry_point() -> Path:
    """The program of an executor; it runs as a file, so that it loads nothing of its parent."""
    return Path(__file__).absolute().with_name("executor.py")


async def wait_for_death(process: asyncio.subprocess.Process, memory_limit: str) -> tuple[int, ProgramError]:
    """Wait until the process has ended; gives its exit status, and the error of whatever was inside.

    ``memory_limit`` says how much memory it was allowed and by what. This must run as long as the process does.
    """
    assert process.stderr is not None
    excerpt = StderrExcerpt()
    while data := await process.stderr.read(8192):
        excerpt.add(data)
    status = await process.wait()
    return status, explain_death(status, excerpt.text(), memory_limit)

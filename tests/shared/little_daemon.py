"""A daemon with nothing to do, for the tests of how a daemon lives: tells on standard output where it stands.

Usage: little_daemon.py START_SECONDS DRAIN_SECONDS
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.daemon import run_daemon
from shared.errors import SelfhostError
from shared.logging import configure_logging
from shared.notify import SystemdNotifier


def tell(what: str) -> None:
    print(what, flush=True)


class LittleDaemon:
    def __init__(self, drain_seconds: float) -> None:
        self._drain_seconds = drain_seconds
        self._reloads = 0

    async def reload(self) -> None:
        self._reloads += 1
        tell(f"reload {self._reloads}")
        if self._reloads == 1:
            raise SelfhostError("the first reload fails")

    async def drain(self) -> None:
        tell("draining")
        await asyncio.sleep(self._drain_seconds)
        tell("drained")


@asynccontextmanager
async def opened(start_seconds: float, drain_seconds: float) -> AsyncIterator[LittleDaemon]:
    tell("opening")
    await asyncio.sleep(start_seconds)
    tell("open")
    try:
        yield LittleDaemon(drain_seconds)
    finally:
        tell("closed")


if __name__ == "__main__":
    lines = configure_logging("little", log_format="json")
    start, drain = map(float, sys.argv[1:])
    sys.exit(run_daemon(opened(start, drain), SystemdNotifier.from_environment(os.environ), lines))

"""The counting server, a process of its own: ``python -m tests.chaos.counting LOG``.

Every ``POST /PROGRAM/MARK`` is a line in its log before it is answered. It prints its port.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

from aiohttp import web

from tests.chaos.evidence import Effect


def read_effects(log: Path) -> list[Effect]:
    lines = (line.split() for line in log.read_text(encoding="ascii").splitlines())
    return [Effect(int(at_ms), program, mark) for at_ms, program, mark in lines]


async def serve(log: Path) -> None:
    """Count until somebody ends this process."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    async def count(request: web.Request) -> web.Response:
        line = f"{time.time_ns() // 1_000_000} {request.match_info['program']} {request.match_info['mark']}\n"
        os.write(file, line.encode("ascii"))
        return web.Response()

    app = web.Application()
    app.router.add_post("/{program}/{mark}", count)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))

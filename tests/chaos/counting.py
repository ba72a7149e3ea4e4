"""The counting server, a process of its own: ``python -m tests.chaos.counting LOG``.

Every ``POST /PROGRAM/MARK`` is a line in its log before it is answered, and so is the sign of life of a run that goes
on, ``POST /PROGRAM/MARK/beat``. It prints its port.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

from aiohttp import web

from tests.chaos.evidence import Effect

EFFECT, BEAT = "effect", "beat"


def read_effects(log: Path) -> tuple[list[Effect], list[Effect]]:
    """The effects, and the signs of life."""
    effects: dict[str, list[Effect]] = {EFFECT: [], BEAT: []}
    for line in log.read_text(encoding="ascii").splitlines():
        at_ms, program, mark, what = line.split()
        effects[what].append(Effect(int(at_ms), program, mark))
    return effects[EFFECT], effects[BEAT]


async def serve(log: Path) -> None:
    """Count until somebody ends this process."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def note(request: web.Request, what: str) -> web.Response:
        program, mark = request.match_info["program"], request.match_info["mark"]
        os.write(file, f"{time.time_ns() // 1_000_000} {program} {mark} {what}\n".encode("ascii"))
        return web.Response()

    async def count(request: web.Request) -> web.Response:
        return note(request, EFFECT)

    async def hear(request: web.Request) -> web.Response:
        return note(request, BEAT)

    app = web.Application()
    app.router.add_post("/{program}/{mark}", count)
    app.router.add_post("/{program}/{mark}/beat", hear)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))

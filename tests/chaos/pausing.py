"""Programs and domains that are paused for a while, as an operator would: asked for again until it is done."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.chaos.clock import machine_ms
from tests.chaos.evidence import Pause
from tests.chaos.routines import PAUSED_DOMAIN, PAUSED_PROGRAMS, ChaosRoutine
from tests.chaos.stage import Stage
from tests.support.waiting import until

LONGEST_SECONDS = 180.0
"""The manager may not be there, and neither its database."""


async def pause_programs(stage: Stage, seconds: float) -> None:
    """By their tags."""
    paused = [each for each in stage.placed if each.kind == PAUSED_PROGRAMS]
    async with _paused(stage, paused, seconds, lambda: _tag(stage, paused, "pause"), lambda: _tag(stage, paused)):
        asked = time.monotonic()
        await _done(lambda: _is_read(stage, paused[0].domain, asked))


async def pause_domain(stage: Stage, seconds: float) -> None:
    paused = [each for each in stage.placed if each.domain == PAUSED_DOMAIN]
    async with _paused(stage, paused, seconds, lambda: _command(stage, "pause"), lambda: _command(stage, "resume")):
        await _done(lambda: _domain_is_paused(stage))


@asynccontextmanager
async def _paused(
    stage: Stage,
    routines: Iterable[ChaosRoutine],
    seconds: float,
    pause: Callable[[], Awaitable[bool]],
    resume: Callable[[], Awaitable[bool]],
) -> AsyncIterator[None]:
    """What is inside waits until the manager has said that it holds; it then lasts so long."""
    names = frozenset(each.name for each in routines)
    async with stage.locks[names]:
        await _done(pause)
        yield
        in_force_ms = machine_ms()
        await asyncio.sleep(seconds)
        stage.pauses.append(Pause(names, in_force_ms, machine_ms()))
        await _done(resume)


async def _done(attempt: Callable[[], Awaitable[bool]]) -> None:
    await until(attempt, "what was asked of the manager is done", LONGEST_SECONDS)


async def _tag(stage: Stage, routines: Iterable[ChaosRoutine], *tags: str) -> bool:
    """Whether the manager took it."""
    try:
        for each in routines:
            changed = {"tags": [*tags, *each.tags]}
            path = f"/v2/programs/{stage.placed[each]}"
            if (await stage.installation.call("PUT", path, domain=each.domain, json=changed)).status != 204:
                return False
    except aiohttp.ClientError:
        return False
    return True


async def _is_read(stage: Stage, name: str, since: float) -> bool:
    """Whether the manager has read a domain since then, and follows what it read."""
    before = time.monotonic()
    domain = await _domain(stage, name)
    return domain is not None and domain["problem"] is None and domain["age_seconds"] < before - since - 0.1


async def _domain_is_paused(stage: Stage) -> bool:
    domain = await _domain(stage, PAUSED_DOMAIN)
    return domain is not None and domain["paused"] is not None


async def _domain(stage: Stage, name: str) -> dict[str, Any] | None:
    """What the manager says of a domain; None if it says nothing."""
    secret = (stage.installation.folder / "secret").read_text(encoding="utf-8").strip()
    try:
        reply = await stage.installation.call("GET", "/v1/overview", bearer=secret)
    except aiohttp.ClientError:
        return None
    domains: list[dict[str, Any]] = reply.json()["domains"] if reply.status == 200 else []
    return next((domain for domain in domains if domain["name"] == name and domain["age_seconds"] is not None), None)


async def _command(stage: Stage, verb: str) -> bool:
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("juvuln"),
        "domain",
        verb,
        PAUSED_DOMAIN,
        env={"PATH": os.environ["PATH"], "HOME": str(stage.installation.folder), **stage.manager.environ},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    return await process.wait() == 0

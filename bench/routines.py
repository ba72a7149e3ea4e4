"""Routines: how late they start, many at once and many every second."""

import asyncio
import sqlite3
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from bench.installation import both_daemons
from bench.load import LoadError
from bench.rounds import QUICK, Effort, Figures
from bench.storm import make_domains, storms
from juvuln.programs import ProgramKey
from juvuln.routine import share_of

EVERY_SECOND = "* * * * * *"
ROUTINES = 1_000
DOMAINS = 10
SETTLING_SECONDS = 5
"""Until everything is compiled; what is due meanwhile does not count."""
PERIOD_MS = 1000


async def storm(_folder: Path, effort: Effort) -> Figures:
    """Ten thousand at once, in ten domains; each due time is a round, and so is the first, which compiles."""
    ticks = 2 if effort == QUICK else effort.rounds
    found = await storms(10_000, DOMAINS, 1, ticks=ticks)
    if not all(each.succeeded == each.runs for each in found):
        raise LoadError("not all routines of the storm succeeded")
    return {"storm": [each.started_ms / 1000 for each in found]}


async def lag(_folder: Path, effort: Effort) -> Figures:
    """A thousand every second, all due as it begins."""
    found = await _lags(effort, jitter_seconds=0)
    return {"lag-p99": [_percentile(late, 99) for late in found]}


async def even_lag(_folder: Path, effort: Effort) -> Figures:
    """The same thousand, each to start at a moment of its own within the second."""
    found = await _lags(effort, jitter_seconds=1)
    return {f"lag-p{part}-even": [_percentile(late, part) for late in found] for part in (50, 99)}


async def _lags(effort: Effort, *, jitter_seconds: int) -> Sequence[Sequence[float]]:
    """How late (ms) they started, in order; each second is a round."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        urls = await make_domains(folder, DOMAINS, ROUTINES // DOMAINS, EVERY_SECOND)
        async with both_daemons(folder, urls, SCHEDULE__JITTER_SECONDS=str(jitter_seconds)):
            since_ms = (time.time() + SETTLING_SECONDS) * 1000
            await asyncio.sleep(SETTLING_SECONDS + effort.rounds * 2)
        return _by_second(folder / "juvuln.db", since_ms, jitter_seconds * 1000)[:-1]


def _percentile(late: Sequence[float], part: int) -> float:
    return late[len(late) * part // 100]


def _by_second(record: Path, since_ms: float, jitter_ms: int) -> Sequence[Sequence[float]]:
    """Late against when each was to start. What was not started counts as late by the whole period."""
    by_second: dict[int, list[float]] = defaultdict(list)
    with sqlite3.connect(f"file:{record}?mode=ro", uri=True) as connection:
        query = "SELECT domain, program_uuid, due_ms, started_ms - due_ms FROM runs WHERE due_ms > ? ORDER BY due_ms"
        for domain, uuid, due_ms, after_ms in connection.execute(query, (since_ms,)):
            meant_ms = share_of(ProgramKey(domain, UUID(uuid)), jitter_ms)
            by_second[due_ms].append(float(PERIOD_MS if after_ms is None else after_ms - meant_ms))
    return [sorted(late) for late in by_second.values()]

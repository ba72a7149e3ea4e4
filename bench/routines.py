"""Routines: how late they start, many at once and many every second."""

import asyncio
import sqlite3
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from bench.installation import both_daemons
from bench.load import LoadError
from bench.rounds import QUICK, Effort, Figures
from bench.storm import make_domains, storms

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
    """A thousand every second, all due as it begins; each second is a round."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        urls = await make_domains(folder, DOMAINS, ROUTINES // DOMAINS, EVERY_SECOND)
        async with both_daemons(folder, urls):
            since_ms = (time.time() + SETTLING_SECONDS) * 1000
            await asyncio.sleep(SETTLING_SECONDS + effort.rounds * 2)
        return {"lag-p99": _lags(folder / "juvuln.db", since_ms)[:-1]}


def _lags(record: Path, since_ms: float) -> list[float]:
    """The 99th percentile of each second. What was not started counts as late by the whole period."""
    by_second: dict[int, list[float]] = defaultdict(list)
    with sqlite3.connect(f"file:{record}?mode=ro", uri=True) as connection:
        query = "SELECT due_ms, coalesce(started_ms - due_ms, ?) FROM runs WHERE due_ms > ? ORDER BY due_ms"
        for due_ms, late_ms in connection.execute(query, (PERIOD_MS, since_ms)):
            by_second[due_ms].append(float(late_ms))
    return [sorted(late)[len(late) * 99 // 100] for late in by_second.values()]

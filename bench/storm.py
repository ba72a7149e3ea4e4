"""Ten thousand routines that are due in the same second: how soon after that the last of them has started.

Run it with `python -m bench.storm [ROUTINES] [DOMAINS] [WORKERS]`: real daemons, domains and record in SQLite.
"""

import asyncio
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from bench.installation import both_daemons, children
from juvuln.database import open_engine
from juvuln.domains.create import ROOT_UUID, create_domain
from juvuln.domains.store import DomainStore, Specification

SOURCE = b"x := 1"
LONGEST_SECONDS = 120.0
TICKS = 3
APART_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Storm:
    """What the record says of one due time."""

    runs: int
    succeeded: int
    started_ms: float
    """How long after the due time the last run was handed to a worker."""
    ended_ms: float
    cpu_us: dict[str, float]
    """Processor time for each run, by daemon."""


async def make_domains(folder: Path, domains: int, routines: int, schedule: str) -> dict[str, str]:
    """Domains with as many routines each; their URLs by name."""
    return {f"d{n}": await make_domain(folder, f"d{n}", routines, schedule) for n in range(domains)}


async def make_domain(folder: Path, name: str, routines: int, schedule: str) -> str:
    url = f"sqlite:///{folder / name}.db"
    engine = open_engine(url, create=True)
    await create_domain(engine, name, datetime.now(UTC))
    store = DomainStore(name, engine)
    for number in range(routines):
        uuid = uuid4()
        specification = Specification(uuid, f"r{number}", "routine", "active", schedule, 5000, "tengo", ())
        await store.create_program(specification, [ROOT_UUID], uuid4)
        now = datetime.now(UTC)
        await store.sign_revision(uuid, await store.add_revision(uuid, SOURCE, ROOT_UUID, now), ROOT_UUID, now)
    await store.close()
    return url


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its children."""
    total = 0.0
    for each in [pid, *children(pid)]:
        fields = Path(f"/proc/{each}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
        total += (int(fields[11]) + int(fields[12])) / 100
    return total


async def storms(
    routines: int, domains: int, workers: int, *, ticks: int = TICKS, apart_seconds: int = APART_SECONDS
) -> Sequence[Storm]:
    """Several due times: the first also compiles everything, and starts what there is to start."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds = ",".join(map(str, range(2, 60, apart_seconds)))
        urls = await make_domains(folder, domains, routines // domains, f"{seconds} * * * * *")
        async with both_daemons(folder, urls, workers) as (manager, started):
            daemons = {"juvuln": [manager.pid], "malgomaj": [worker.pid for worker in started]}
            found = []
            for tick in range(ticks):
                before = {kind: sum(map(cpu_seconds, pids)) for kind, pids in daemons.items()}
                found.append(await _storm(folder / "juvuln.db", tick, routines, daemons, before))
            return found


async def _storm(
    record: Path, tick: int, routines: int, daemons: dict[str, list[int]], before: dict[str, float]
) -> Storm:
    """Wait until everything that is due at the ``tick`` has ended."""
    until = time.monotonic() + LONGEST_SECONDS
    query = (
        "SELECT due_ms, count(*), sum(outcome = 'succeeded'), max(started_ms), max(ended_ms), count(ended_ms) "
        "FROM runs GROUP BY due_ms ORDER BY due_ms"
    )
    while time.monotonic() < until:
        await asyncio.sleep(0.5)
        with sqlite3.connect(f"file:{record}?mode=ro", uri=True) as connection:
            # The first due times may come before all routines are known.
            rows = [row for row in connection.execute(query) if row[5] >= routines]
        if len(rows) > tick:
            due, runs, succeeded, started, ended, _ = rows[tick]
            after = {kind: sum(map(cpu_seconds, pids)) for kind, pids in daemons.items()}
            cpu = {kind: (after[kind] - before[kind]) / runs * 1e6 for kind in daemons}
            return Storm(runs, succeeded, (started or 0) - due, ended - due, cpu)
    raise TimeoutError(f"not all {routines} runs have ended within {LONGEST_SECONDS:g} s")


def main() -> None:
    routines, domains, workers = [*map(int, sys.argv[1:]), *(10_000, 10, 1)[len(sys.argv) - 1 :]]
    for storm in asyncio.run(storms(routines, domains, workers)):
        print(
            f"{storm.runs} runs, {storm.succeeded} succeeded; the last started {storm.started_ms:.0f} ms after it was "
            f"due, and ended after {storm.ended_ms:.0f} ms; {storm.cpu_us['juvuln']:.0f} us of the manager and "
            f"{storm.cpu_us['malgomaj']:.0f} us of the worker for each"
        )


if __name__ == "__main__":
    main()

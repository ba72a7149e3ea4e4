"""The record of runs over its length, in SQLite: to insert, to list, to drop what is old."""

import asyncio
import itertools
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from uuid import UUID

from bench.curves import Point, point
from bench.rounds import QUICK, Effort
from juvuln.clock import new_run_id
from juvuln.programs import Program, ProgramKey
from juvuln.runs.record import RunRecord, open_record
from juvuln.runs.run import Run, Trigger
from shared.wire import ProgramType

LENGTHS = (10_000, 100_000, 1_000_000, 10_000_000)
QUICK_LENGTHS = LENGTHS[:2]
PROGRAMS = 1_000
FILLED_AT_ONCE = 100_000
T0_MS = 1_700_000_000_000
AT_ONCE = 1_000
"""Runs put on record in one round."""
OLD = 1_000
"""Runs dropped in one round."""
KEEP = 100_000_000
LISTED = 20

COLUMNS = (
    "id, domain, program_uuid, program_name, trigger, revision, deadline_ms, manager, due_ms, claimed_ms, started_ms, "
    "ended_ms, outcome, duration_ms, worker"
)

Measure = Callable[[RunRecord, int, int], Awaitable[None]]
"""Of a record, so many rows long, in the round of that number."""


def _program(number: int) -> Program:
    return Program(
        key=ProgramKey("bench", UUID(int=number)),
        name=f"program-{number}",
        type=ProgramType.ROUTINE,
        schedule="* * * * * *",
        deadline_ms=1000,
        language="tengo",
        revision=0,
        checksum=b"sum",
        code=b"x := 1",
    )


def _rows(first: int, count: int) -> Iterator[tuple[object, ...]]:
    """A run each millisecond, of one program after the other."""
    for number in range(first, first + count):
        at, program = T0_MS + number, number % PROGRAMS
        ended = ("succeeded", 0.5, "worker")
        names = ("bench", str(UUID(int=program)), f"program-{program}", "schedule", 0, 1000, "bench")
        yield (new_run_id(at, number), *names, at, at, at, at + 1, *ended)


def _fill(file: Path, first: int, count: int) -> None:
    marks = ", ".join("?" * len(COLUMNS.split(", ")))
    with closing(sqlite3.connect(file)) as connection:
        for part in range(first, first + count, FILLED_AT_ONCE):
            with connection:
                rows = _rows(part, min(FILLED_AT_ONCE, first + count - part))
                connection.executemany(f"INSERT INTO runs ({COLUMNS}) VALUES ({marks})", rows)


@asynccontextmanager
async def _writing(file: Path) -> AsyncIterator[RunRecord]:
    async with open_record(f"sqlite:///{file}", "bench", lambda _: None) as record:
        writer = asyncio.create_task(record.write())
        try:
            yield record
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)


async def _over_length(folder: Path, effort: Effort, measure: Measure) -> AsyncIterator[Point]:
    file, filled = folder / "juvuln.db", 0
    async with _writing(file):
        pass  # it makes the tables
    for length in QUICK_LENGTHS if effort == QUICK else LENGTHS:
        await asyncio.to_thread(_fill, file, filled, length - filled)
        filled, took = length, []
        async with _writing(file) as record:
            for number in range(effort.rounds):
                began = time.perf_counter()
                await measure(record, length, number)
                took.append((time.perf_counter() - began) * 1000)
        yield point(length, took)


def insert(folder: Path, effort: Effort) -> AsyncIterator[Point]:
    # Later than everything that is filled in.
    at = itertools.count(T0_MS + 2 * LENGTHS[-1])

    async def claim(record: RunRecord, _length: int, _number: int) -> None:
        due = next(at)
        runs = [Run(new_run_id(due, number), _program(number), Trigger.SCHEDULE, due, due) for number in range(AT_ONCE)]
        assert len(await record.claim(runs)) == AT_ONCE

    return _over_length(folder, effort, claim)


def newest(folder: Path, effort: Effort) -> AsyncIterator[Point]:
    async def listed(record: RunRecord, length: int, number: int) -> None:
        found = await record.history("bench", program=UUID(int=number), limit=LISTED)
        assert len(found) == min(LISTED, length // PROGRAMS)

    return _over_length(folder, effort, listed)


def retention(folder: Path, effort: Effort) -> AsyncIterator[Point]:
    gone = itertools.count(1)

    async def drop(record: RunRecord, _length: int, _number: int) -> None:
        # It ended a millisecond after it was due.
        assert await record.prune(T0_MS + 1 + next(gone) * OLD, KEEP) == OLD

    return _over_length(folder, effort, drop)

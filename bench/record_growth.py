"""The record of runs over its length, in SQLite and in PostgreSQL: to insert, to list, to drop what is old."""

import asyncio
import itertools
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from uuid import UUID

import asyncpg
from sqlalchemy import make_url
from sqlalchemy.schema import CreateIndex, DropIndex

from bench.curves import Point, point
from bench.rounds import QUICK, Effort
from juvuln.clock import new_run_id
from juvuln.programs import Program, ProgramKey
from juvuln.runs.record import RunRecord, open_record
from juvuln.runs.run import Run, Trigger
from juvuln.runs.tables import PARTIAL_INDEXES, runs
from shared.wire import ProgramType
from tests.support.databases import DatabaseServer, PostgresServer, SqliteFolder

LENGTHS = (10_000, 100_000, 1_000_000, 10_000_000)
QUICK_LENGTHS = LENGTHS[:2]
PROGRAMS = 1_000
FILLED_AT_ONCE = 100_000
FILLING_CACHE_KIB = 512 * 1024
T0_MS = 1_700_000_000_000
AT_ONCE = PROGRAMS
"""Runs put on record in one round, and dropped in one round: one of each program."""
KEEP = 10_000
"""The default of runs.keep_per_program: as many as each program has in the longest record."""
LISTED = 20

COLUMNS = (
    "id",
    "domain",
    "program_uuid",
    "program_name",
    "trigger",
    "revision",
    "deadline_ms",
    "manager",
    "due_ms",
    "claimed_ms",
    "started_ms",
    "ended_ms",
    "outcome",
    "duration_ms",
    "worker",
)

Fill = Callable[[int, int], Awaitable[None]]
"""Add so many rows, from that number on."""


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


def _parts(first: int, count: int) -> Iterator[Iterator[tuple[object, ...]]]:
    for part in range(first, first + count, FILLED_AT_ONCE):
        yield _rows(part, min(FILLED_AT_ONCE, first + count - part))


def _indexing(database: str) -> tuple[Sequence[str], Sequence[str]]:
    """Statements that drop the indexes, and that make them: to fill a table and index it then takes a fraction of the
    time. What holds rows unique stays."""
    dialect = make_url(f"{database}://").get_dialect()()
    drops = [str(DropIndex(index).compile(dialect=dialect)) for index in runs.indexes]
    creates = [str(CreateIndex(index).compile(dialect=dialect)) for index in runs.indexes]
    drops += [f"DROP INDEX {name}" for name in PARTIAL_INDEXES]
    return drops, creates + [f"CREATE INDEX {name} ON {rows}" for name, rows in PARTIAL_INDEXES.items()]


def _fill_sqlite(file: Path, first: int, count: int) -> None:
    drops, creates = _indexing("sqlite")
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA synchronous = off")
        connection.execute(f"PRAGMA cache_size = -{FILLING_CACHE_KIB}")
        for statement in drops:
            connection.execute(statement)
        for rows in _parts(first, count):
            with connection:
                marks = ", ".join("?" * len(COLUMNS))
                connection.executemany(f"INSERT INTO runs ({', '.join(COLUMNS)}) VALUES ({marks})", rows)
        for statement in creates:
            connection.execute(statement)


async def _fill_postgresql(url: str, first: int, count: int) -> None:
    drops, creates = _indexing("postgresql+asyncpg")
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"SET maintenance_work_mem = {FILLING_CACHE_KIB}")
        await connection.execute("; ".join(drops))
        for rows in _parts(first, count):
            await connection.copy_records_to_table("runs", records=rows, columns=COLUMNS)
        await connection.execute("; ".join(creates))
        # It would do so by itself within a minute.
        await connection.execute("VACUUM ANALYZE runs")
    finally:
        await connection.close()


@asynccontextmanager
async def _writing(url: str) -> AsyncIterator[RunRecord]:
    async with open_record(url, "bench", lambda _: None) as record:
        writer = asyncio.create_task(record.write())
        try:
            yield record
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)


async def sqlite(folder: Path, effort: Effort) -> AsyncIterator[Sequence[Point]]:
    url = await SqliteFolder(folder).create()
    file = Path(url.removeprefix("sqlite:///"))

    async def fill(first: int, count: int) -> None:
        await asyncio.to_thread(_fill_sqlite, file, first, count)

    async for points in _over_length(url, effort, fill):
        yield points


async def postgresql(folder: Path, effort: Effort) -> AsyncIterator[Sequence[Point]]:
    server: DatabaseServer
    with closing(PostgresServer(folder / "postgres")) as server:
        url = await server.create()

        async def fill(first: int, count: int) -> None:
            await _fill_postgresql(url, first, count)

        async for points in _over_length(url, effort, fill):
            yield points


async def _over_length(url: str, effort: Effort, fill: Fill) -> AsyncIterator[Sequence[Point]]:
    """At each length: what an insert, a list and a drop take, in ms."""
    filled, numbers = 0, itertools.count()
    async with _writing(url):
        pass  # it makes the tables
    for length in QUICK_LENGTHS if effort == QUICK else LENGTHS:
        await fill(filled, length - filled)
        filled = length
        rounds = []
        async with _writing(url) as record:
            for _ in range(effort.rounds):
                number = next(numbers)
                rounds.append([await _ms(work(record, number)) for work in (_insert, _list, _drop)])
        yield [point(length, took) for took in zip(*rounds, strict=True)]


async def _ms(work: Awaitable[None]) -> float:
    began = time.perf_counter()
    await work
    return (time.perf_counter() - began) * 1000


async def _insert(record: RunRecord, number: int) -> None:
    # Later than everything that is filled in.
    due = T0_MS + 2 * LENGTHS[-1] + number
    claimed = [Run(new_run_id(due, each), _program(each), Trigger.SCHEDULE, due, due) for each in range(AT_ONCE)]
    assert len(await record.claim(claimed)) == AT_ONCE


async def _list(record: RunRecord, number: int) -> None:
    found = await record.history("bench", program=UUID(int=number), limit=LISTED)
    assert found


async def _drop(record: RunRecord, number: int) -> None:
    """Those of the oldest second that is left; each ended a millisecond after it was due."""
    assert await record.prune(T0_MS + 1 + (number + 1) * AT_ONCE, KEEP) == AT_ONCE

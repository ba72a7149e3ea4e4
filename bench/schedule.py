"""What a tick costs: ten thousand routines that are due in the same second, decided on and put on record.

Processor time is that of this process, which does what the manager does; PostgreSQL's own is beside it.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path
from uuid import UUID

from bench.load import LoadError
from bench.rounds import Effort, Figures
from juvuln.clock import Clock
from juvuln.policy import Policy
from juvuln.programs import Changes, Program, ProgramKey
from juvuln.routine import Planning
from juvuln.routine_runs import RoutineRuns
from juvuln.runs.record import RunRecord, open_record
from juvuln.runs.run import Ending, Run
from juvuln.scheduler import Scheduler
from shared.wire import Outcome, ProgramType
from tests.support.databases import PostgresServer, SqliteFolder

T0_MS = 1_700_000_000_000
ROUTINES = 10_000
ROUTINE = Program(
    key=ProgramKey("bench", UUID(int=0)),
    name="beat",
    type=ProgramType.ROUTINE,
    schedule="*/5 * * * * *",
    deadline_ms=1000,
    language="tengo",
    revision=0,
    checksum=b"sum",
    code=b"x := 1",
)


@dataclass(frozen=True, slots=True)
class SetClock(Clock):
    """Shows the last of what it was set to."""

    shown_ms: list[int]

    def now_ms(self) -> int:
        return self.shown_ms[-1]


class Instant:
    """Runs that end at once; what is measured is what comes before and after."""

    def __init__(self, record: RunRecord, clock: Clock) -> None:
        self._record = record
        self._clock = clock

    async def execute(self, run: Run) -> None:
        now_ms = self._clock.now_ms()
        self.close(run, Ending(Outcome.SUCCEEDED, ended_ms=now_ms, started_ms=now_ms))

    def close(self, run: Run, ending: Ending) -> None:
        self._record.close(run, ending)

    def cancel(self, run_id: str, reason: str) -> None:
        """Nothing is under way for long enough."""

    withdraw = cancel

    def stop(self) -> None:
        """There is nothing to stop."""


async def ticks(folder: Path, effort: Effort) -> Figures:
    """In microseconds of the manager's processor for each due time: to its claim, and to its ending; by database."""
    with closing(PostgresServer(folder / "postgres")) as postgresql:
        sqlite_claims, sqlite_wholes = await _rounds(await SqliteFolder(folder).create(), effort.rounds)
        claims, wholes = await _rounds(await postgresql.create(), effort.rounds)
    return {
        "tick-claimed": sqlite_claims,
        "tick": sqlite_wholes,
        "tick-claimed-postgresql": claims,
        "tick-postgresql": wholes,
    }


async def _rounds(url: str, rounds: int) -> tuple[Sequence[float], Sequence[float]]:
    """Of deciding and claiming, and of the whole, endings included."""
    async with open_record(url, "bench", lambda _: None) as record:
        writer = asyncio.create_task(record.write())
        clock = SetClock([T0_MS])
        runs = RoutineRuns(Instant(record, clock), clock)
        planning = Planning(UTC, {}, Policy())
        scheduler = Scheduler(record, runs, lambda _: None, lambda _: None, clock, planning)
        programs = [replace(ROUTINE, key=ProgramKey("bench", UUID(int=number))) for number in range(ROUTINES)]
        scheduler.update(Changes(added=tuple(programs)), {})
        claims, wholes = [], []
        for tick in range(1, rounds + 1):
            clock.shown_ms.append(T0_MS + tick * 5000)
            began = time.process_time()
            while not await scheduler.step():
                pass  # it takes a part at a time
            claims.append((time.process_time() - began) / ROUTINES * 1e6)
            await runs.finished()
            await record.flush()
            wholes.append((time.process_time() - began) / ROUTINES * 1e6)
        writer.cancel()
        if record.meter.due != rounds * ROUTINES:
            raise LoadError(f"{record.meter.due} due times were claimed, of {rounds * ROUTINES}")
    return claims, wholes

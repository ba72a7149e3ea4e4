"""What a tick costs: ten thousand routines that are due in the same second, decided on and put on record.

Run it with `python -m bench.schedule [ROUTINES]`. Processor time is that of the manager's process; PostgreSQL's own is
beside it.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path
from uuid import UUID

from juvuln.clock import Clock
from juvuln.policy import Policy
from juvuln.programs import Changes, Program, ProgramKey
from juvuln.routine import Planning
from juvuln.routine_runs import RoutineRuns
from juvuln.runs.record import RunRecord, open_record
from juvuln.runs.run import Ending, Run
from juvuln.scheduler import Scheduler
from shared.logging import configure_logging
from shared.wire import Outcome, ProgramType
from tests.support.databases import DatabaseServer, PostgresServer, SqliteFolder

T0_MS = 1_700_000_000_000
TICKS = 5
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

    def stop(self) -> None:
        """There is nothing to stop."""


async def measure(url: str, routines: int) -> tuple[Sequence[float], Sequence[float]]:
    """Processor seconds of deciding and claiming, and of the whole, endings included."""
    async with open_record(url, "bench", lambda _: None) as record:
        writer = asyncio.create_task(record.write())
        clock = SetClock([T0_MS])
        runs = RoutineRuns(Instant(record, clock), clock)
        planning = Planning(UTC, {}, Policy())
        scheduler = Scheduler(record, runs, lambda _: None, lambda _: None, clock, planning)
        programs = [replace(ROUTINE, key=ProgramKey("bench", UUID(int=number))) for number in range(routines)]
        scheduler.update(Changes(added=tuple(programs)), {})
        claims, wholes = [], []
        for tick in range(1, TICKS + 1):
            clock.shown_ms.append(T0_MS + tick * 5000)
            began = time.process_time()
            await scheduler.step()
            claims.append(time.process_time() - began)
            await runs.finished()
            await record.flush()
            wholes.append(time.process_time() - began)
        writer.cancel()
    return claims, wholes


def row(what: str, seconds: Sequence[float], routines: int) -> None:
    median = statistics.median(seconds)
    print(
        f"{what:<50} {median:6.3f} s  {median / routines * 1e6:5.1f} us each ({min(seconds):.3f} to {max(seconds):.3f})"
    )


async def main(routines: int) -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        postgresql = PostgresServer(Path(folder) / "postgres")
        stack.callback(postgresql.close)
        servers: dict[str, DatabaseServer] = {"SQLite": SqliteFolder(Path(folder)), "PostgreSQL": postgresql}
        for name, server in servers.items():
            claims, wholes = await measure(await server.create(), routines)
            row(f"{name}: {routines} due times decided on and claimed", claims, routines)
            row(f"{name}: the same, and their endings written", wholes, routines)


if __name__ == "__main__":
    configure_logging("bench", log_format="console", level="error")
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))

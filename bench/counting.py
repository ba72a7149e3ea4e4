"""What it costs a run to be counted, in each of the daemons."""

import timeit
from collections.abc import Callable
from uuid import UUID

from juvuln.programs import Program, ProgramKey
from juvuln.runs.meter import RunMeter
from juvuln.runs.run import Ending, Run, Trigger
from malgomaj.meter import TaskMeter
from shared.wire import Outcome, ProgramType

TIMES = 50_000
NOW_MS = 1_700_000_000_000


def worker_us() -> float:
    meter = TaskMeter()

    def count() -> None:
        meter.cache_hits += 1
        meter.note_ended(Outcome.SUCCEEDED, 0.4)

    return _us(count)


def manager_us() -> float:
    key = ProgramKey("bench", UUID(int=1))
    program = Program(
        key=key,
        name="beat",
        type=ProgramType.ROUTINE,
        schedule="@every 1s",
        deadline_ms=1000,
        language="tengo",
        revision=0,
        checksum=b"",
        code=b"x := 1",
    )
    run = Run("run", program, Trigger.SCHEDULE, claimed_ms=NOW_MS, due_ms=NOW_MS)
    ending = Ending(Outcome.SUCCEEDED, ended_ms=NOW_MS + 3, started_ms=NOW_MS + 1, duration_ms=1.5)
    meter = RunMeter()

    def count() -> None:
        meter.note_claimed(run)
        meter.note_ended(run, ending)

    return _us(count)


def _us(count: Callable[[], None]) -> float:
    return timeit.timeit(count, number=TIMES) / TIMES * 1e6

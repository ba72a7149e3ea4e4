"""The runs of routines that are under way, and what becomes of a run that comes meanwhile: the overlap policy."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from juvuln.clock import Clock, from_ms
from juvuln.policy import Overlap
from juvuln.programs import ProgramKey
from juvuln.routine import Routine
from juvuln.runs.run import Ending, Run
from shared.wire import Outcome

STOPPED = "the manager was stopped before it was started"

Hindrance = Callable[[ProgramKey], str | None]
"""Why no run of a program may be begun now, if so."""


class Runs(Protocol):
    """Who brings claimed runs to their end (:class:`juvuln.runner.Runner`)."""

    async def execute(self, run: Run) -> Any: ...
    def cancel(self, run_id: str, reason: str) -> None: ...
    def withdraw(self, run_id: str, reason: str) -> None: ...
    def close(self, run: Run, ending: Ending) -> None: ...
    def stop(self) -> None: ...


@dataclass(slots=True, eq=False)
class Strand:
    """Runs of one routine that are run one after another."""

    runs: deque[Run]
    """Those that are not begun yet."""
    current: Run
    """The one under way, or else the first."""
    routine: Routine
    hindrance: Hindrance
    task: asyncio.Task[None] | None = None
    replaced: str | None = None
    """Why it is ended, if it is."""


@dataclass(slots=True)
class OneRoutine:
    strands: list[Strand] = field(default_factory=list)
    waiting: Strand | None = None
    """What is run when all others have ended."""


class RoutineRuns:
    """Owns the tasks of the runs that are started by schedule."""

    def __init__(self, runs: Runs, clock: Clock) -> None:
        self._runs = runs
        self._clock = clock
        self._routines: defaultdict[ProgramKey, OneRoutine] = defaultdict(OneRoutine)
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    def reason_to_skip(self, routine: Routine) -> str | None:
        """Why no run of the routine may be claimed now."""
        key = routine.program.key
        strands = self._routines[key].strands if key in self._routines else []
        policy = routine.policy
        if strands and policy.overlap is Overlap.SKIP:
            return f"still running: run {strands[0].current.id}, which began for an earlier due time"
        if policy.overlap is Overlap.ALLOW and len(strands) >= policy.overlap_limit:
            return f"{len(strands)} runs are under way, as many as may be"
        return None

    def is_idle(self, key: ProgramKey) -> bool:
        """Whether no run of the routine is under way or waits."""
        return key not in self._routines

    def withdraw(self, key: ProgramKey, reason: str) -> None:
        """End what was claimed ahead of its time and has not begun."""
        for strand in self._routines[key].strands if key in self._routines else ():
            if strand.current.not_before_ms is not None:
                self._runs.withdraw(strand.current.id, reason)

    def start(self, routine: Routine, runs: Sequence[Run], hindrance: Hindrance) -> None:
        """Have claimed runs executed, one after another, as the overlap policy says.

        ``hindrance`` is asked before each, for some have to wait, and the program may be paused or gone by then.
        """
        known = self._routines[routine.program.key]
        strand = Strand(deque(runs), runs[0], routine, hindrance)
        if known.strands and routine.policy.overlap is Overlap.QUEUE:
            self._wait(known, strand)
        elif known.strands and routine.policy.overlap is Overlap.REPLACE:
            self._replace(known, runs[-1])
            self._begin(strand, after=[other.task for other in known.strands if other.task])
        else:
            self._begin(strand, after=())

    def stop(self) -> None:
        """Begin nothing any more; what is with a worker goes on."""
        self._stopping = True
        self._runs.stop()
        for known in self._routines.values():
            if known.waiting is not None:
                self._close_all(known.waiting.runs, Outcome.SKIPPED, STOPPED)
                known.waiting = None

    async def finished(self) -> None:
        """Wait until no run is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def cancel(self) -> None:
        """End the runs that are under way; they are recorded as lost."""
        self.stop()
        await asyncio.sleep(0)  # what was begun just now must get as far as to clean up
        for task in list(self._tasks):
            task.cancel()
        await self.finished()

    def _wait(self, known: OneRoutine, strand: Strand) -> None:
        """Have it wait behind what is made up for, and in the place of a run that waits for an earlier due time."""
        if known.waiting is not None:
            waiting = known.waiting.runs
            if not waiting[-1].made_up:
                reason = f"still waiting for its turn when run {strand.runs[-1].id} came, which is for a later due time"
                self._close_all([waiting.pop()], Outcome.SKIPPED, reason)
            strand.runs.extendleft(reversed(waiting))
            strand.current = strand.runs[0]
        known.waiting = strand

    def _replace(self, known: OneRoutine, by: Run) -> None:
        due = from_ms(by.due_ms or by.claimed_ms).isoformat()
        for strand in known.strands:
            strand.replaced = f"replaced by run {by.id}, due {due}"
            self._runs.cancel(strand.current.id, strand.replaced)

    def _begin(self, strand: Strand, after: Sequence[asyncio.Task[None]]) -> None:
        key = strand.routine.program.key
        self._routines[key].strands.append(strand)
        strand.task = asyncio.create_task(self._follow(key, strand, after), name=f"run {strand.current.id}")
        self._tasks.add(strand.task)
        strand.task.add_done_callback(self._tasks.discard)

    async def _follow(self, key: ProgramKey, strand: Strand, after: Sequence[asyncio.Task[None]]) -> None:
        """Run after run to the end of the strand."""
        try:
            if after:
                await asyncio.wait(after)
            is_first = True
            while strand.runs and not strand.replaced and not self._stopping:
                if (reason := strand.hindrance(key)) is not None:
                    self._close_all(strand.runs, Outcome.SKIPPED, reason)
                    strand.runs.clear()
                    break
                run = strand.runs.popleft()
                in_time = is_first and not run.made_up
                strand.current = run if in_time else self._with_time_to_start(run, strand.routine)
                await self._runs.execute(strand.current)
                is_first = False
        finally:
            outcome = Outcome.CANCELLED if strand.replaced else Outcome.SKIPPED
            self._close_all(strand.runs, outcome, strand.replaced or STOPPED)
            self._ended(key, strand)

    def _ended(self, key: ProgramKey, strand: Strand) -> None:
        known = self._routines[key]
        known.strands.remove(strand)
        if known.strands:
            return
        waiting, known.waiting = known.waiting, None
        if waiting is None:
            del self._routines[key]
        else:
            self._begin(waiting, after=())

    def _with_time_to_start(self, run: Run, routine: Routine) -> Run:
        """A run that is made up for, or had to wait for those that are: its start deadline begins now."""
        return run._replace(start_by_ms=self._clock.now_ms() + routine.start_deadline_ms)

    def _close_all(self, runs: Sequence[Run] | deque[Run], outcome: Outcome, reason: str) -> None:
        for run in runs:
            self._runs.close(run, Ending(outcome, ended_ms=self._clock.now_ms(), reason=reason))

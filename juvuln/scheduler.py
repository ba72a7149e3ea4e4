"""The scheduler: when a routine's time comes, put it on record and have it run.

The record comes first: what is due is claimed in one transaction, and only when that is committed does the scheduler
move on to the next due times. If it fails, the due times stay, and are claimed when the record can be written again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta, tzinfo
from typing import Any
from uuid import UUID

import structlog

from juvuln.clock import Clock, from_ms, new_run_id, to_ms
from juvuln.database import DatabaseError
from juvuln.due import Decision, DueTimes, Gap, decide
from juvuln.programs import Changes, Program, ProgramKey
from juvuln.runs.record import ClaimInDoubtError, RunRecord
from juvuln.runs.run import Ending, Run, Trigger
from juvuln.schedule import Schedule, ScheduleError, first_due, parse_schedule
from shared.wire import Outcome, ProgramType

RETRY_SECONDS = 1.0
LONGEST_SLEEP_SECONDS = 1.0
"""The wall clock is looked at this often, for it may be set while we sleep."""

LONGEST_SETBACK_MS = 24 * 3600 * 1000
"""When the clock is set back, due times that were seen to are not seen to again, unless it was wrong by more."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Routine:
    program: Program
    schedule: Schedule


@dataclass(frozen=True, slots=True)
class Due:
    """A due time that has come, and what is to be done about it."""

    routine: Routine
    due_ms: int
    decision: Decision


class Scheduler:
    """Owns the due times of all routines; told of changes by the domains, tells ``execute`` of claimed runs.

    ``hindrance`` is asked why no routine of a domain may be started; what is due then is skipped for that reason.
    """

    def __init__(
        self,
        record: RunRecord,
        execute: Callable[[Run], Awaitable[Any]],
        hindrance: Callable[[str], str | None],
        clock: Clock,
        *,
        zone: tzinfo,
        start_deadline: timedelta,
    ) -> None:
        self._record = record
        self._execute = execute
        self._hindrance = hindrance
        self._clock = clock
        self._zone = zone
        self._start_deadline = start_deadline
        self._routines: dict[ProgramKey, Routine] = {}
        self._due = DueTimes()
        self._claiming_ms: int | None = None
        """The oldest of the due times that are being put on record."""
        self._latest_ms = 0
        self._running: dict[ProgramKey, Run] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._stopping = False
        self._stopped = asyncio.Event()

    def update(self, changes: Changes, seen_to_ms: Mapping[UUID, int]) -> None:
        """Follow what changed in a domain. ``seen_to_ms``: up to when due times were seen to, if not up to now."""
        for program in changes.removed:
            self._forget(program.key)
        for program in (*changes.added, *changes.changed):
            if program.type is ProgramType.ROUTINE:
                self._follow(program, seen_to_ms.get(program.key.uuid))
            else:
                self._forget(program.key)
        self._changed.set()

    def __len__(self) -> int:
        """Routines that are followed."""
        return len(self._routines)

    def upcoming(self, count: int) -> list[tuple[Program, int]]:
        """The next due times (ms), soonest first: of each routine no more than one."""
        return [(self._routines[key].program, due_ms) for key, due_ms in self._due.upcoming(count)]

    def behind_seconds(self) -> float:
        """How long ago the oldest due time came that is not on record yet; 0 if there is none."""
        waiting = [due_ms for due_ms in (self._claiming_ms, self._due.soonest_ms()) if due_ms is not None]
        return max(0, self._clock.now_ms() - min(waiting)) / 1000 if waiting else 0.0

    def _forget(self, key: ProgramKey) -> None:
        self._routines.pop(key, None)
        self._due.remove(key)

    def _follow(self, program: Program, seen_to_ms: int | None) -> None:
        known = self._routines.get(program.key)
        try:
            schedule = parse_schedule(program.schedule, self._zone)
            base_ms = _base_ms(seen_to_ms, self._clock.now_ms())
            due_ms = to_ms(first_due(schedule, from_ms(base_ms)))
        except ScheduleError as error:
            self._forget(program.key)
            log.error("schedule_unusable", name=program.name, program=str(program.key), reason=str(error))
            return
        self._routines[program.key] = Routine(program, schedule)
        if known is None or known.schedule != schedule:
            self._due.put(program.key, due_ms)

    async def run(self) -> None:
        """Claim and start what is due, until stopped."""
        while not self._stopping:
            self._changed.clear()
            now_ms = self._clock.now_ms()
            self._notice_time(now_ms)
            taken = self._due.take_due(now_ms)
            if taken:
                await self._tick_or_put_back(taken, now_ms)
            else:
                await self._sleep()
        self._stopped.set()

    def stop(self) -> None:
        """Start nothing any more. Runs under way go on."""
        self._stopping = True
        self._changed.set()

    async def finished(self) -> None:
        """After :meth:`stop`: wait until the last tick is seen to and no run is under way."""
        await self._stopped.wait()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def cancel_runs(self) -> None:
        """End the runs that are under way; they are recorded as lost."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _sleep(self) -> None:
        soonest_ms = self._due.soonest_ms()
        seconds = LONGEST_SLEEP_SECONDS
        if soonest_ms is not None:
            seconds = min(seconds, max(0.0, (soonest_ms - self._clock.now_ms()) / 1000))
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _notice_time(self, now_ms: int) -> None:
        """Should the clock have been far ahead, and be set right, go on from the right time."""
        if now_ms < self._latest_ms - LONGEST_SETBACK_MS:
            log.warning("clock_set_back", seconds=(self._latest_ms - now_ms) // 1000)
            for key, routine in self._routines.items():
                self._due.put(key, to_ms(first_due(routine.schedule, from_ms(now_ms))))
            self._latest_ms = now_ms
        self._latest_ms = max(self._latest_ms, now_ms)

    async def _tick_or_put_back(self, taken: list[tuple[ProgramKey, int]], now_ms: int) -> None:
        """See to due times; should that fail, they stay due."""
        self._claiming_ms = taken[0][1]
        try:
            await self._tick(taken, now_ms)
        except DatabaseError as error:
            self._put_back(taken)
            log.error("due_times_not_claimed", count=len(taken), reason=str(error))
            await asyncio.sleep(RETRY_SECONDS)
        except Exception:
            self._put_back(taken)
            raise
        finally:
            self._claiming_ms = None

    async def _tick(self, taken: list[tuple[ProgramKey, int]], now_ms: int) -> None:
        """See to the due times that have come: on record first, then moved on, then started."""
        due = [self._decide(key, due_ms, now_ms) for key, due_ms in taken if key in self._routines]
        starting = [run for item in due if (run := self._starting(item, now_ms))]
        ended = [entry for item in due for entry in self._ended(item, now_ms)]
        try:
            claimed = await self._record.claim(starting, ended)
        except ClaimInDoubtError as error:
            # The record sees to it that they end there as lost; to claim them again might give them two endings.
            log.error("due_times_in_doubt", count=len(due), reason=error.reason)
            claimed = set()
        self._move_on(due)
        for run in starting:
            if run.id in claimed:
                self._start(run)

    def _decide(self, key: ProgramKey, due_ms: int, now_ms: int) -> Due:
        routine = self._routines[key]
        return Due(routine, due_ms, decide(routine.schedule, due_ms, now_ms, self._start_deadline))

    def _starting(self, due: Due, now_ms: int) -> Run | None:
        if due.decision.run_due_ms is None or self._skip_reason(due.routine.program.key) is not None:
            return None
        return self._new_run(due.routine.program, due.decision.run_due_ms, now_ms)

    def _ended(self, due: Due, now_ms: int) -> list[tuple[Run, Ending]]:
        """What goes on record without being started: missed due times, and one that is skipped."""
        program, decision = due.routine.program, due.decision
        entries: list[tuple[Run, Ending]] = []
        if decision.missed is not None:
            entries.append(self._missed(program, decision.missed, now_ms))
        if decision.run_due_ms is not None and (reason := self._skip_reason(program.key)) is not None:
            ending = Ending(outcome=Outcome.SKIPPED, ended_ms=now_ms, reason=reason)
            entries.append((self._new_run(program, decision.run_due_ms, now_ms), ending))
        return entries

    def _skip_reason(self, key: ProgramKey) -> str | None:
        if (before := self._running.get(key)) is not None:
            return f"still running: run {before.id}, which began for an earlier due time"
        return self._hindrance(key.domain)

    def _missed(self, program: Program, gap: Gap, now_ms: int) -> tuple[Run, Ending]:
        log.warning("due_times_missed", name=program.name, program=str(program.key), count=gap.count)
        ending = Ending(outcome=Outcome.MISSED, ended_ms=now_ms, reason=gap.reason())
        # Under the last of them, so that at the next start nobody looks for the others again.
        return replace(self._new_run(program, gap.last_due_ms, now_ms), first_due_ms=gap.first_due_ms), ending

    def _new_run(self, program: Program, due_ms: int, now_ms: int) -> Run:
        start_by_ms = due_ms + self._start_deadline // timedelta(milliseconds=1)
        return Run(
            new_run_id(now_ms), program, Trigger.SCHEDULE, claimed_ms=now_ms, due_ms=due_ms, start_by_ms=start_by_ms
        )

    def _put_back(self, taken: list[tuple[ProgramKey, int]]) -> None:
        for key, due_ms in taken:
            if key in self._routines and self._due.get(key) is None:
                self._due.put(key, due_ms)

    def _move_on(self, due: list[Due]) -> None:
        for item in due:
            key, next_due_ms = item.routine.program.key, item.decision.next_due_ms
            # A change that came while the claim was being written has set the due time already.
            if key in self._routines and self._due.get(key) is None and next_due_ms is not None:
                self._due.put(key, next_due_ms)

    def _start(self, run: Run) -> None:
        self._running[run.program.key] = run
        task = asyncio.create_task(self._run(run), name=f"run {run.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, run: Run) -> None:
        """One run to its end. ``execute`` closes the record whatever happens, and raises nothing but a cancellation."""
        try:
            await self._execute(run)
        finally:
            del self._running[run.program.key]


def _base_ms(seen_to_ms: int | None, now_ms: int) -> int:
    """From when on due times are to be seen to. It may lie ahead, if the clock was set back since."""
    if seen_to_ms is None or seen_to_ms > now_ms + LONGEST_SETBACK_MS:
        return now_ms
    return seen_to_ms

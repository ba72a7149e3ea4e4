"""The scheduler: when a routine's time comes, put it on record and have it run.

The record comes first: what is due is claimed in one transaction, and only when that is committed does the scheduler
move on to the next due times. If it fails, the due times stay, and are claimed when the record can be written again.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from uuid import UUID

import structlog

from juvuln.clock import Clock, from_ms, new_run_id
from juvuln.database import DatabaseError
from juvuln.due import (
    LONGEST_WAITED_SETBACK_MS,
    Decision,
    DueTimes,
    Gap,
    after_setback,
    decide,
    due_times,
    give_up,
)
from juvuln.programs import Changes, Program, ProgramKey
from juvuln.routine import Planning, Routine
from juvuln.routine_runs import RoutineRuns
from juvuln.runs.record import RunRecord
from juvuln.runs.run import Ending, Run, Trigger
from juvuln.runs.writer import ClaimInDoubtError
from juvuln.schedule import ScheduleError
from shared.wire import Outcome, ProgramType

RETRY_SECONDS = 1.0
LONGEST_SLEEP_SECONDS = 1.0
"""The wall clock is looked at this often, for it may be set while we sleep."""
DUE_AT_ONCE = 500
"""What is due in the same second is claimed in parts, so that the first are running while the next go on record."""
LEAST_AHEAD_MS = 100
"""What could not be claimed ahead by then is claimed when it is due."""
PAUSES_MS = 1000
"""How often it is seen whether a pause is over."""
LONGEST_UNRECORDED_PAUSE_MS = 3600 * 1000
"""Of what is not on record of a pause, a manager that is killed leaves no trace."""
GONE = "the program was changed, or is no active routine any more"
LATE = "the manager was not running, or too late, when it was due"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Pause:
    """Due times from ``due_ms`` on that came while the routine was paused, or was about to be taken away."""

    routine: Routine
    due_ms: int
    until_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done about the due times of a routine that have come."""

    routine: Routine
    starting: Sequence[Run]
    ended: Sequence[tuple[Run, Ending]]
    """What goes on record without being started."""
    next_due_ms: int | None


@dataclass(slots=True)
class Decisions:
    """Those of one tick. Many routines share their schedule and policy, so each question is answered once."""

    known: dict[tuple[int, int, int, int], Decision] = field(default_factory=dict)

    def decide(self, routine: Routine, due_ms: int, now_ms: int) -> Decision:
        question = id(routine.schedule), id(routine.policy), due_ms, now_ms
        decision = self.known.get(question)
        if decision is None:
            decision = self.known[question] = decide(routine.schedule, due_ms, now_ms, routine.lateness)
        return decision


class Scheduler:
    """Owns the due times of all routines; told of changes by the domains, tells ``runs`` of claimed runs.

    ``hindrance`` is asked why no routine of a domain may be started; what is due then is skipped for that reason.
    ``pause`` is asked why a routine is paused, if it is; its due times are put on record when the pause is over.
    """

    def __init__(
        self,
        record: RunRecord,
        runs: RoutineRuns,
        hindrance: Callable[[str], str | None],
        pause: Callable[[Routine], str | None],
        clock: Clock,
        planning: Planning,
    ) -> None:
        self._record = record
        self._runs = runs
        self._hindrance = hindrance
        self._pause = pause
        self._clock = clock
        self._planning = planning
        self._routines: dict[ProgramKey, Routine] = {}
        self._due = DueTimes()
        """When each routine is to be started next: its due time, and its delay by jitter."""
        self._paused: dict[ProgramKey, Pause] = {}
        """Those whose due time came while they were paused; ``until_ms`` is not known yet."""
        self._to_skip: list[Pause] = []
        """What is still to be put on record of pauses, and of routines that were changed or taken away."""
        self._claiming_ms: int | None = None
        """The oldest of the starts that are being put on record."""
        self._looked_at_pauses_ms = 0
        self._updated = False
        """Whether something changed since then."""
        self._latest_ms = 0
        self._claimed_to_ms = 0
        """The latest due time that was claimed ahead."""
        self._repeated_until_ms = 0
        """Up to when due times may come a second time, because the clock was set back."""
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
        self._updated = True
        self._changed.set()

    def __len__(self) -> int:
        """Routines that are followed."""
        return len(self._routines)

    def upcoming(self, count: int) -> list[tuple[Program, int]]:
        """The next due times (ms), soonest first: of each routine no more than one."""
        soonest = [(self._routines[key], at_ms) for key, at_ms in self._due.upcoming(count)]
        return [(routine.program, at_ms - routine.delay_ms) for routine, at_ms in soonest]

    def due_times(self, key: ProgramKey, count: int) -> Sequence[datetime]:
        """The next due times of a routine; none if it is not followed, or paused."""
        at_ms = self._due.get(key)
        if at_ms is None:
            return ()
        routine = self._routines[key]
        first = from_ms(at_ms - routine.delay_ms)
        return list(islice(due_times(routine.schedule, first), count))

    def why_not_again(self, program: Program) -> str | None:
        """Why a run of this program by schedule is not to be repeated now, if so."""
        routine = self._routines.get(program.key)
        if routine is not None and routine.program.checksum != program.checksum:
            return "the program has new code"
        return self._hindrance_to_begin(program.key)

    def behind_seconds(self) -> float:
        """How long ago the oldest start should have been that is not on record yet; 0 if there is none."""
        waiting = [at_ms for at_ms in (self._claiming_ms, self._due.first_due_ms()) if at_ms is not None]
        return max(0, self._clock.now_ms() - min(waiting)) / 1000 if waiting else 0.0

    def _forget(self, key: ProgramKey) -> None:
        self._end_pause(key)
        if routine := self._routines.pop(key, None):
            self._give_up_what_came(routine)
            self._runs.withdraw(key, GONE)
        self._due.remove(key)

    def _give_up_what_came(self, routine: Routine) -> None:
        """Have a due time put on record that has come, and was to be started later, perhaps for its jitter."""
        at_ms, now_ms = self._due.get(routine.program.key), self._clock.now_ms()
        if at_ms is None:
            return
        due_ms = at_ms - routine.delay_ms
        if due_ms <= now_ms:
            self._to_skip.append(Pause(routine, due_ms, now_ms, GONE))

    def _follow(self, program: Program, seen_to_ms: int | None) -> None:
        known, now_ms = self._routines.get(program.key), self._clock.now_ms()
        try:
            routine = self._planning.routine(program)
            due_ms = self._planning.first_due_ms(routine, seen_to_ms, now_ms)
        except ScheduleError as error:
            self._forget(program.key)
            log.error("schedule_unusable", name=program.name, program=str(program.key), reason=str(error))
            return
        if routine.faults and (known is None or known.faults != routine.faults):
            log.error("tags_unusable", name=program.name, program=str(program.key), faults=routine.faults)
        self._routines[program.key] = routine
        self._repeated_until_ms = max(self._repeated_until_ms, seen_to_ms or 0)
        if (reason := self._pause(routine)) is not None:
            self._runs.withdraw(program.key, reason)
        if known is None or known.schedule != routine.schedule:
            self._end_pause(program.key)
            if known is not None:
                self._give_up_what_came(known)
            self._put(program.key, due_ms + routine.delay_ms)
        elif known.delay_ms != routine.delay_ms and (at_ms := self._due.get(program.key)) is not None:
            self._put(program.key, at_ms - known.delay_ms + routine.delay_ms)

    async def run(self) -> None:
        """Claim and start what is due, until stopped."""
        while not self._stopping:
            self._changed.clear()
            await self._sleep(await self.step())
        await self._record_pauses()
        self._stopped.set()

    async def step(self) -> float:
        """See to what is due now; gives for how long there is nothing more to do (s), unless something changes."""
        now_ms = self._clock.now_ms()
        self._notice_time(now_ms)
        self._look_at_pauses(now_ms)
        taken = self._due.take_due(now_ms, DUE_AT_ONCE)
        if not taken and not self._to_skip:
            return self._seconds_to_next()
        done = await self._tick_or_put_back(taken, now_ms)
        return 0.0 if done else RETRY_SECONDS

    def stop(self) -> None:
        """Start nothing any more. Runs under way go on."""
        self._stopping = True
        self._runs.stop()
        self._changed.set()

    async def finished(self) -> None:
        """After :meth:`stop`: wait until the last tick is seen to and no run is under way."""
        await self._stopped.wait()
        await self._runs.finished()

    async def cancel_runs(self) -> None:
        """End the runs that are under way; they are recorded as lost."""
        await self._runs.cancel()

    def _seconds_to_next(self) -> float:
        soonest_ms = self._due.soonest_ms()
        if soonest_ms is None:
            return LONGEST_SLEEP_SECONDS
        return min(LONGEST_SLEEP_SECONDS, max(0.0, (soonest_ms - self._clock.now_ms()) / 1000))

    async def _sleep(self, seconds: float) -> None:
        if seconds == 0:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _notice_time(self, now_ms: int) -> None:
        """Should the clock have been set back, go on from the time that it shows now."""
        setback_ms = self._latest_ms - now_ms
        if setback_ms > LONGEST_WAITED_SETBACK_MS:
            log.warning("clock_set_back", seconds=setback_ms // 1000)
            self._repeated_until_ms = max(self._repeated_until_ms, self._latest_ms, self._claimed_to_ms)
            for key, at_ms in self._due.all():
                routine = self._routines[key]
                due_ms = after_setback(routine.schedule, at_ms - routine.delay_ms, setback_ms, now_ms)
                self._put(key, due_ms + routine.delay_ms)
            self._latest_ms = now_ms
        self._latest_ms = max(self._latest_ms, now_ms)

    def _look_at_pauses(self, now_ms: int) -> None:
        """Go on with the routines that are not paused any more, and put on record what came in a pause that lasts.

        There may be many, so not at every step.
        """
        if not self._updated and abs(now_ms - self._looked_at_pauses_ms) < PAUSES_MS:
            return
        self._updated, self._looked_at_pauses_ms = False, now_ms
        for key, paused in list(self._paused.items()):
            unrecorded_ms = now_ms - paused.due_ms
            if self._pause(self._routines[key]) is None or unrecorded_ms >= LONGEST_UNRECORDED_PAUSE_MS:
                self._end_pause(key)
                upcoming_ms = give_up(paused.routine.schedule, paused.due_ms, now_ms).next_due_ms
                if upcoming_ms is not None:
                    self._put_next(key, upcoming_ms)

    def _end_pause(self, key: ProgramKey) -> None:
        paused = self._paused.pop(key, None)
        if paused is not None:
            until_ms = max(paused.due_ms, self._clock.now_ms())
            self._to_skip.append(Pause(paused.routine, paused.due_ms, until_ms, paused.reason))

    async def _record_pauses(self) -> None:
        """Put on record what came in pauses so far, for whoever starts next may find them over."""
        for key in list(self._paused):
            self._end_pause(key)
        if self._to_skip:
            await self._tick_or_put_back([], self._clock.now_ms())

    async def _tick_or_put_back(self, taken: list[tuple[ProgramKey, int]], now_ms: int) -> bool:
        """See to due times; should that fail, they stay due, and this is False."""
        pauses, self._to_skip = self._to_skip, []
        self._claiming_ms = taken[0][1] if taken else None
        try:
            await self._tick(taken, pauses, now_ms)
        except DatabaseError as error:
            self._put_back(taken, pauses)
            log.error("due_times_not_claimed", count=len(taken), reason=str(error))
            return False
        except Exception:
            self._put_back(taken, pauses)
            raise
        finally:
            self._claiming_ms = None
        return True

    async def _tick(self, taken: list[tuple[ProgramKey, int]], pauses: Sequence[Pause], now_ms: int) -> None:
        """See to the due times that have come: on record first, then moved on, then started."""
        decisions = Decisions()
        plans = [
            self._plan(key, at_ms, now_ms, decisions)
            for key, at_ms in taken
            if key in self._routines and not self._is_left_for_later(key, at_ms, now_ms)
        ]
        if not plans and not pauses:
            return
        starting = [run for plan in plans for run in plan.starting]
        ended = [entry for plan in plans for entry in plan.ended] + [_paused(pause, now_ms) for pause in pauses]
        try:
            claimed = await self._record.claim(starting, ended)
        except ClaimInDoubtError as error:
            # The record sees to it that they end there as lost; to claim them again might give them two endings.
            log.error("due_times_in_doubt", count=len(plans), reason=error.reason)
            claimed = set()
        self._move_on(plans)
        for plan in plans:
            if runs := [run for run in plan.starting if run.id in claimed]:
                self._runs.start(plan.routine, runs, self._hindrance_to_begin)

    def _hindrance_to_begin(self, key: ProgramKey) -> str | None:
        """Why a run that is claimed may not be begun: meanwhile its routine was taken away, or paused."""
        routine = self._routines.get(key)
        return GONE if routine is None else self._pause(routine)

    def _is_left_for_later(self, key: ProgramKey, at_ms: int, now_ms: int) -> bool:
        """Leave a due time for later if its routine is paused, or it is not clear before it what becomes of it."""
        routine = self._routines[key]
        reason = self._pause(routine)
        if at_ms <= now_ms:
            if reason is not None:
                self._paused[key] = Pause(routine, at_ms - routine.delay_ms, now_ms, reason)
            return reason is not None
        if reason is None and not self._stopping and self._hindrance(key.domain) is None and self._runs.is_idle(key):
            self._claimed_to_ms = max(self._claimed_to_ms, at_ms)
            return False
        # Its run for an earlier due time is likely to end meanwhile.
        left_ms = (at_ms - now_ms) // 2
        self._due.put(key, at_ms, left_ms if left_ms >= LEAST_AHEAD_MS else 0)
        return True

    def _plan(self, key: ProgramKey, at_ms: int, now_ms: int, decisions: Decisions) -> Plan:
        routine = self._routines[key]
        decision = decisions.decide(routine, at_ms - routine.delay_ms, max(now_ms, at_ms) - routine.delay_ms)
        latest_ms = max(decision.run_due_ms, default=None)
        runs = [self._new_run(routine, due_ms, now_ms, made_up=due_ms != latest_ms) for due_ms in decision.run_due_ms]
        ended = [self._missed(routine, decision.given_up, now_ms)] if decision.given_up is not None else []
        reason = self._runs.reason_to_skip(routine) or self._hindrance(key.domain) if runs else None
        if reason is None:
            return Plan(routine, runs, ended, decision.next_due_ms)
        ended += [(run, Ending(Outcome.SKIPPED, ended_ms=now_ms, reason=reason)) for run in runs]
        return Plan(routine, (), ended, decision.next_due_ms)

    def _missed(self, routine: Routine, gap: Gap, now_ms: int) -> tuple[Run, Ending]:
        program = routine.program
        log.warning("due_times_missed", name=program.name, program=str(program.key), count=gap.count)
        return _given_up(routine, gap, now_ms, Outcome.MISSED, LATE)

    def _new_run(self, routine: Routine, due_ms: int, now_ms: int, *, made_up: bool) -> Run:
        policy = routine.policy
        at_ms = due_ms + routine.delay_ms
        start_by_ms = max(at_ms + routine.start_deadline_ms, 0)
        if start_by_ms < now_ms:
            # It has as long from now on.
            made_up, start_by_ms = True, now_ms + routine.start_deadline_ms
        return Run(
            new_run_id(now_ms),
            routine.program,
            Trigger.SCHEDULE,
            claimed_ms=now_ms,
            due_ms=due_ms,
            not_before_ms=at_ms if at_ms > now_ms else None,
            start_by_ms=start_by_ms,
            made_up=made_up,
            retry=policy.retry,
            failures_limit=policy.failures_limit,
        )

    def _put_back(self, taken: list[tuple[ProgramKey, int]], pauses: Sequence[Pause]) -> None:
        self._to_skip = [*pauses, *self._to_skip]
        for key, at_ms in taken:
            if key in self._routines and self._due.get(key) is None and key not in self._paused:
                self._put(key, at_ms)

    def _move_on(self, plans: Sequence[Plan]) -> None:
        for plan in plans:
            key = plan.routine.program.key
            # A change that came while the claim was being written has set the due time already.
            if key in self._routines and self._due.get(key) is None and plan.next_due_ms is not None:
                self._put_next(key, plan.next_due_ms)

    def _put_next(self, key: ProgramKey, due_ms: int) -> None:
        if due_ms - due_ms % 1000 > self._repeated_until_ms:
            # The clock has not shown this second before, so there is no need to tell it apart.
            due_ms -= due_ms % 1000
        self._put(key, due_ms + self._routines[key].delay_ms)

    def _put(self, key: ProgramKey, at_ms: int) -> None:
        self._due.put(key, at_ms, self._planning.ahead_ms)


def _paused(pause: Pause, now_ms: int) -> tuple[Run, Ending]:
    gap = give_up(pause.routine.schedule, pause.due_ms, pause.until_ms).given_up
    assert gap is not None, "a pause has the due time that came first"
    return _given_up(pause.routine, gap, now_ms, Outcome.SKIPPED, pause.reason)


def _given_up(routine: Routine, gap: Gap, now_ms: int, outcome: Outcome, why: str) -> tuple[Run, Ending]:
    """One record for all due times of a gap, under the last of them, so that nobody looks for the others again."""
    run = Run(
        new_run_id(now_ms),
        routine.program,
        Trigger.SCHEDULE,
        claimed_ms=now_ms,
        due_ms=gap.last_due_ms,
        first_due_ms=gap.first_due_ms,
    )
    return run, Ending(outcome, ended_ms=now_ms, reason=gap.reason(why))

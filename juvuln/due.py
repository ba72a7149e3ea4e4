"""Which routine is due when, and what to do about a due time. Values and pure functions: time is an argument."""

import heapq
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import NamedTuple

from juvuln.clock import from_ms, to_ms
from juvuln.policy import Missed
from juvuln.programs import ProgramKey
from juvuln.schedule import Every, Schedule, first_due, follows_elapsed_time

LONGEST_COUNTED_GAP = 100
MOST_STALE = 1000
"""How many entries that were replaced are kept beside as many as there are routines."""
SECOND = timedelta(seconds=1)

LONGEST_WAITED_SETBACK_MS = 60_000
LONGEST_SETBACK_MS = 24 * 3600 * 1000
"""When the clock is set back, due times that were seen to are not seen to again, unless it was wrong by more."""


class _Next(NamedTuple):
    due_ms: int
    look_ms: int
    """When it is to be taken: when it is due, or ahead of that."""


class DueTimes:
    """The next due time of each routine, soonest first. A look at what is due costs no more than what is due."""

    def __init__(self) -> None:
        self._next: dict[ProgramKey, _Next] = {}
        self._heap: list[tuple[int, int, ProgramKey]] = []
        self._puts = 0
        """Of what is due at the same time, what was put first comes first."""

    def __len__(self) -> int:
        return len(self._next)

    def get(self, key: ProgramKey) -> int | None:
        known = self._next.get(key)
        return None if known is None else known.due_ms

    def all(self) -> Sequence[tuple[ProgramKey, int]]:
        return [(key, known.due_ms) for key, known in self._next.items()]

    def put(self, key: ProgramKey, due_ms: int, ahead_ms: int = 0) -> None:
        """Set the next due time of a routine, whatever it was before; it is taken so much ahead of that."""
        upcoming = _Next(due_ms, due_ms - ahead_ms)
        if self._next.get(key) == upcoming:
            return
        self._next[key] = upcoming
        self._puts += 1
        heapq.heappush(self._heap, (upcoming.look_ms, self._puts, key))
        if len(self._heap) > 2 * len(self._next) + MOST_STALE:
            self._heap = [entry for entry in self._heap if self._is_good(entry)]
            heapq.heapify(self._heap)

    def remove(self, key: ProgramKey) -> None:
        self._next.pop(key, None)

    def soonest_ms(self) -> int | None:
        """When there is something to take."""
        self._drop_stale()
        return self._heap[0][0] if self._heap else None

    def first_due_ms(self) -> int | None:
        """The due time of what is taken first."""
        self._drop_stale()
        return self._next[self._heap[0][2]].due_ms if self._heap else None

    def upcoming(self, count: int) -> list[tuple[ProgramKey, int]]:
        """The next due times, soonest first: of each routine no more than one."""
        return heapq.nsmallest(count, self.all(), key=lambda item: (item[1], str(item[0])))

    def take_due(self, now_ms: int, limit: int) -> list[tuple[ProgramKey, int]]:
        """Take out what is to be taken by now, soonest first. Put back what is not done, and what comes next."""
        return list(islice(self._take(now_ms), limit))

    def _take(self, now_ms: int) -> Iterator[tuple[ProgramKey, int]]:
        while (soonest := self.soonest_ms()) is not None and soonest <= now_ms:
            _, _, key = heapq.heappop(self._heap)
            yield key, self._next.pop(key).due_ms

    def _drop_stale(self) -> None:
        """Entries that were replaced or removed stay in the heap until they come up, or are too many."""
        while self._heap and not self._is_good(self._heap[0]):
            heapq.heappop(self._heap)

    def _is_good(self, entry: tuple[int, int, ProgramKey]) -> bool:
        look_ms, _, key = entry
        known = self._next.get(key)
        return known is not None and known.look_ms == look_ms


@dataclass(frozen=True, slots=True)
class Gap:
    """Due times that are given up together; one record stands for all of them."""

    first_due_ms: int
    last_due_ms: int
    count: int
    complete: bool = True
    """False if there are more than were counted."""

    def reason(self, why: str) -> str:
        """``why`` they were given up, and how many there are if it is more than one."""
        if self.count == 1:
            return why
        number = str(self.count) if self.complete else f"more than {self.count - 1}"
        first, last = from_ms(self.first_due_ms).isoformat(), from_ms(self.last_due_ms).isoformat()
        return f"{why}: {number} due times from {first} to {last}"


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done about a due time that has come, and those that came after it."""

    run_due_ms: tuple[int, ...]
    """The due times to run now, oldest first."""
    given_up: Gap | None
    """The due times that are not run, if any; all of them come before those that are."""
    next_due_ms: int | None


@dataclass(frozen=True, slots=True)
class Lateness:
    """What is done about due times that nobody saw to in time."""

    missed: Missed
    limit: int
    start_deadline_ms: int


def decide(schedule: Schedule, due_ms: int, now_ms: int, lateness: Lateness) -> Decision:
    """Which of the due times from ``due_ms`` to now are run.

    As a rule only the last, and that only within the start deadline; the others are given up together, so that a
    manager that was away starts no storm.
    """
    mark_ms = due_ms % 1000
    first, now = from_ms(due_ms - mark_ms), from_ms(now_ms - mark_ms)
    last = _last_until(schedule, first, now)
    if lateness.missed is Missed.ALL:
        running = _last_ones(schedule, first, last, lateness.limit)
    elif lateness.missed is Missed.ONCE or now - last <= timedelta(milliseconds=lateness.start_deadline_ms):
        running = [last]
    else:
        running = []
    if not running:
        gap = _gap(schedule, first, last, mark_ms)
    elif running[0] > first:
        gap = _gap(schedule, first, _last_until(schedule, first, running[0] - SECOND), mark_ms)
    else:
        gap = None
    return Decision(tuple(to_ms(due) + mark_ms for due in running), gap, _marked(schedule.next_after(last), mark_ms))


def give_up(schedule: Schedule, due_ms: int, until_ms: int) -> Decision:
    """Run none of the due times from ``due_ms`` to ``until_ms``, for they fell into a pause."""
    mark_ms = due_ms % 1000
    first = from_ms(due_ms - mark_ms)
    last = _last_until(schedule, first, from_ms(until_ms - mark_ms))
    return Decision((), _gap(schedule, first, last, mark_ms), _marked(schedule.next_after(last), mark_ms))


def resume(schedule: Schedule, seen_to_ms: int | None, now_ms: int) -> int:
    """The first due time of a routine that the manager comes to know.

    ``seen_to_ms``: the last due time that was seen to, or the second up to which all were. It lies ahead if the clock
    was set back in the meantime. Raises ScheduleError.
    """
    if seen_to_ms is None:
        return to_ms(first_due(schedule, from_ms(now_ms)))
    setback_ms = seen_to_ms - now_ms
    mark_ms = seen_to_ms % 1000 if setback_ms > 0 else 0
    upcoming_ms = to_ms(first_due(schedule, from_ms(seen_to_ms - mark_ms))) + mark_ms
    return after_setback(schedule, upcoming_ms, setback_ms, now_ms)


def after_setback(schedule: Schedule, due_ms: int, setback_ms: int, now_ms: int) -> int:
    """The next due time, which was ``due_ms``, now that the clock was set back by ``setback_ms`` to ``now_ms``.

    A setback of less than a minute is waited out. Over a longer one a schedule of elapsed time goes on at once. Its
    due times come in seconds that were due before, so they are told apart by a millisecond more: the second time that
    the clock shows them. A schedule of fixed hours repeats nothing that was due, unless the clock was wrong by more
    than a day.
    """
    waits = setback_ms <= LONGEST_WAITED_SETBACK_MS
    if waits or (not follows_elapsed_time(schedule) and setback_ms <= LONGEST_SETBACK_MS):
        return due_ms
    again_ms = to_ms(first_due(schedule, from_ms(now_ms))) + min(due_ms % 1000 + 1, 999)
    if isinstance(schedule, Every):
        # As long as there was to wait before.
        remaining_ms = max(0, due_ms - due_ms % 1000 - setback_ms - now_ms)
        again_ms = min(again_ms, again_ms % 1000 + (now_ms + remaining_ms + 999) // 1000 * 1000)
    return min(due_ms, again_ms)


def due_times(schedule: Schedule, first: datetime) -> Iterator[datetime]:
    """Due times in order, beginning with ``first``."""
    due: datetime | None = first
    while due is not None:
        yield due
        due = schedule.next_after(due)


def _last_until(schedule: Schedule, due: datetime, until: datetime) -> datetime:
    """The last due time up to ``until``, of those that begin with ``due``. All of them are whole seconds."""
    if isinstance(schedule, Every):
        period = timedelta(seconds=schedule.period_seconds)
        return due + max(0, (until - due) // period) * period
    last, end = due, until
    while (upcoming := schedule.next_after(last)) is not None and upcoming <= until:
        # There may be many: halve what lies between until nothing is left.
        middle = upcoming + (end - upcoming) // 2 // SECOND * SECOND
        later = schedule.next_after(middle)
        if later is not None and later <= until:
            last = later
        else:
            last, end = upcoming, middle
    return last


def _last_ones(schedule: Schedule, first: datetime, last: datetime, count: int) -> Sequence[datetime]:
    """The last ``count`` due times of those from ``first`` to ``last``, oldest first."""
    if isinstance(schedule, Every):
        period = timedelta(seconds=schedule.period_seconds)
        earliest = max(first, last - (count - 1) * period)
        return [earliest + number * period for number in range((last - earliest) // period + 1)]
    window = count * SECOND
    while True:
        # Looked for backwards, in ever longer stretches, for there may be very many before them.
        start = max(first, last - window)
        found = deque(
            takewhile(lambda due: due <= last, due_times(schedule, _last_until(schedule, first, start))), maxlen=count
        )
        if len(found) == count or start == first:
            return list(found)
        window *= 2


def _gap(schedule: Schedule, first: datetime, last: datetime, mark_ms: int) -> Gap:
    count, due = 1, first
    while due < last and count <= LONGEST_COUNTED_GAP:
        count, due = count + 1, schedule.next_after(due) or last
    return Gap(to_ms(first) + mark_ms, to_ms(last) + mark_ms, count, complete=due == last)


def _marked(instant: datetime | None, mark_ms: int) -> int | None:
    return None if instant is None else to_ms(instant) + mark_ms

"""Which routine is due when, and what to do about a due time. Values and pure functions: time is an argument."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from juvuln.clock import from_ms, to_ms
from juvuln.programs import ProgramKey
from juvuln.schedule import Every, Schedule

LONGEST_COUNTED_GAP = 100
SECOND = timedelta(seconds=1)


class DueTimes:
    """The next due time of each routine, soonest first. A look at what is due costs no more than what is due."""

    def __init__(self) -> None:
        self._next: dict[ProgramKey, int] = {}
        self._heap: list[tuple[int, str, ProgramKey]] = []

    def __len__(self) -> int:
        return len(self._next)

    def get(self, key: ProgramKey) -> int | None:
        return self._next.get(key)

    def put(self, key: ProgramKey, due_ms: int) -> None:
        """Set the next due time of a routine, whatever it was before."""
        self._next[key] = due_ms
        heapq.heappush(self._heap, (due_ms, str(key), key))

    def remove(self, key: ProgramKey) -> None:
        self._next.pop(key, None)

    def soonest_ms(self) -> int | None:
        self._drop_stale()
        return self._heap[0][0] if self._heap else None

    def upcoming(self, count: int) -> list[tuple[ProgramKey, int]]:
        """The next due times, soonest first: of each routine no more than one."""
        return heapq.nsmallest(count, self._next.items(), key=lambda item: (item[1], str(item[0])))

    def take_due(self, now_ms: int) -> list[tuple[ProgramKey, int]]:
        """Take out what is due by now, soonest first. Put back what is not done, and what comes next."""
        return list(self._take(now_ms))

    def _take(self, now_ms: int) -> Iterator[tuple[ProgramKey, int]]:
        while (soonest := self.soonest_ms()) is not None and soonest <= now_ms:
            due_ms, _, key = heapq.heappop(self._heap)
            del self._next[key]
            yield key, due_ms

    def _drop_stale(self) -> None:
        """Entries that were replaced or removed stay in the heap until they come up."""
        while self._heap and self._next.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done about a due time that has come."""

    run_due_ms: int | None
    """The due time to run now, if any."""
    missed: "Gap | None"
    """The due times that are given up, if any."""
    next_due_ms: int | None


@dataclass(frozen=True, slots=True)
class Gap:
    """Due times that nobody saw to in time; one record stands for all of them."""

    first_due_ms: int
    last_due_ms: int
    count: int
    complete: bool = True
    """False if there are more than were counted."""

    def reason(self) -> str:
        if self.count == 1:
            return "the manager was not running, or too late, when it was due"
        number = str(self.count) if self.complete else f"more than {self.count - 1}"
        first, last = from_ms(self.first_due_ms).isoformat(), from_ms(self.last_due_ms).isoformat()
        return f"the manager was not running, or too late: {number} due times from {first} to {last}"


def decide(schedule: Schedule, due_ms: int, now_ms: int, start_deadline: timedelta) -> Decision:
    """Of the due times from ``due_ms`` to now only the last may still run, and that only within ``start_deadline``.

    The others are given up together, so that a manager that was away starts no storm.
    """
    first, now = from_ms(due_ms), from_ms(now_ms)
    last = _last_until(schedule, first, now)
    upcoming = _ms(schedule.next_after(last))
    if now - last > start_deadline:
        return Decision(None, _gap(schedule, first, last), upcoming)
    gap_before = _gap(schedule, first, _last_until(schedule, first, last - SECOND)) if last > first else None
    return Decision(to_ms(last), gap_before, upcoming)


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


def _gap(schedule: Schedule, first: datetime, last: datetime) -> Gap:
    count, due = 1, first
    while due < last and count <= LONGEST_COUNTED_GAP:
        count, due = count + 1, schedule.next_after(due) or last
    return Gap(to_ms(first), to_ms(last), count, complete=due == last)


def _ms(instant: datetime | None) -> int | None:
    return None if instant is None else to_ms(instant)

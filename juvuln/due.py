"""Which routine is due when, and what to do about a due time. Values and pure functions: time is an argument."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from juvuln.clock import from_ms, to_ms
from juvuln.programs import ProgramKey
from juvuln.schedule import Schedule

LONGEST_COUNTED_GAP = 100


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
    now = from_ms(now_ms)
    count, last, upcoming = 1, from_ms(due_ms), schedule.next_after(from_ms(due_ms))
    previous = last
    while upcoming is not None and upcoming <= now:
        if count == LONGEST_COUNTED_GAP:
            gap = Gap(due_ms, to_ms(last), count + 1, complete=False)
            return Decision(None, gap, _ms(schedule.next_after(now)))
        count, previous, last, upcoming = count + 1, last, upcoming, schedule.next_after(upcoming)
    if now - last > start_deadline:
        return Decision(None, Gap(due_ms, to_ms(last), count), _ms(upcoming))
    gap_before = Gap(due_ms, to_ms(previous), count - 1) if count > 1 else None
    return Decision(to_ms(last), gap_before, _ms(upcoming))


def _ms(instant: datetime | None) -> int | None:
    return None if instant is None else to_ms(instant)

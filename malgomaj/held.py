"""Tasks that the manager sent before their time. They begin at its word, however many have the same time.

So none of them is on its way or being read when its time comes. What waits for the word costs a little memory, and
counts neither as running nor as load. If the manager goes before its word has come, nothing begins.
"""

import asyncio
import time
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from malgomaj.errors import Busy, Draining, Withdrawn
from malgomaj.plate import Plate
from malgomaj.turns import Turns
from shared.share import has_share
from shared.wire import Task

MAX_HELD = 16_384
BEGUN_AT_ONCE = 1024
"""So many are begun in a turn of the loop, and run while the next are begun. How they ended is not looked at meanwhile:
that would hold up the start of the others."""
LOOK_SECONDS = 0.002
"""When it is looked again whether there is a turn for one whose time has come."""
PATIENCE_SECONDS = 1.0
"""For how long such a one waits for its turn here. Then the manager may give it to another worker."""


@dataclass(slots=True, eq=False)
class _Waiting:
    task: Task
    wanted: "asyncio.Future[bool]"
    """Whether the task is to begin, once that is clear; False if it is to end instead."""


class _Due(NamedTuple):
    until: float
    """Until when it waits for its turn."""
    one: _Waiting


@dataclass(slots=True, eq=False)
class Word:
    """What the manager says of the tasks of one call when their time has come."""

    waiting: dict[int, _Waiting] = field(default_factory=dict)
    """By their number in the call."""
    came: float | None = None
    """When it came, by the performance counter; None while it has not."""


class Held:
    def __init__(self, turns: Turns, plate: Plate, max_tasks: int = MAX_HELD) -> None:
        self._turns = turns
        self._plate = plate
        self._max_tasks = max_tasks
        self._loop = asyncio.get_running_loop()
        self._all: set[_Waiting] = set()
        self._due: dict[str, deque[_Due]] = {}
        """Those whose time has come; the domains in the order of their turns, so that many tasks of one do not hold up
        a single one of another."""
        self._look: asyncio.Handle | None = None
        """The next look at them, if there are any."""
        self._next_drop = 0.0
        self._closed = False

    def __len__(self) -> int:
        return len(self._all)

    async def wait(self, task: Task, number: int, word: Word) -> bool:
        """Wait for the word, and for the domain's turn; False if the task is to end without having begun.

        Raises Withdrawn if the word leaves it out, Busy if too many are held or there is no turn, Draining if the
        worker is about to stop.
        """
        if self._closed:
            raise _draining()
        if len(self._all) >= self._max_tasks:
            raise Busy(f"this worker holds as many tasks as it can before their time ({self._max_tasks})")
        one = word.waiting[number] = _Waiting(task, self._loop.create_future())
        self._all.add(one)
        try:
            return await one.wanted
        finally:
            self._all.discard(one)

    def begin(self, word: Word, without: Collection[int]) -> None:
        """The word has come: begin the tasks that wait for it, but for those ``without`` which it is to be."""
        word.came = time.perf_counter()
        until = self._loop.time() + PATIENCE_SECONDS
        for number, one in word.waiting.items():
            if one.wanted.done():
                continue
            if number in without:
                one.wanted.set_exception(Withdrawn("the manager took it back before its time"))
            else:
                self._due.setdefault(one.task.domain, deque()).append(_Due(until, one))
        if self._look is None and self._due:
            # Not now: what has begun in this turn of the loop has not taken its turn yet.
            self._look = self._loop.call_soon(self._begin_due)

    def end(self, run_id: str) -> bool:
        """Hold a run no longer, since nobody wants its result; False if it is not held, or about to begin."""
        unwanted = [one for one in self._all if one.task.run_id == run_id and not one.wanted.done()]
        for one in unwanted:
            one.wanted.set_result(False)
        return bool(unwanted)

    def close(self) -> None:
        """Hold nothing any more: the manager may ask elsewhere, since nothing has begun."""
        self._closed = True
        for one in self._all:
            if not one.wanted.done():
                one.wanted.set_exception(_draining())

    def _begin_due(self) -> None:
        """Begin as many as there is room for, the domains in turn."""
        self._drop_late()
        free = self._plate.room
        left = BEGUN_AT_ONCE
        taken = {domain: self._turns.taken(domain) for domain in self._due} if free > 0 else {}
        waiting = deque(taken)
        while waiting and left:
            domain = waiting.popleft()
            if taken[domain] >= self._turns.max_running or not has_share(taken[domain], free):
                continue
            due = self._due.pop(domain)
            if _begin_first(due):
                taken[domain] += 1
                left -= 1
                free -= 1
            if due:
                self._due[domain] = due  # behind the others
                waiting.append(domain)
        self._look = self._loop.call_later(LOOK_SECONDS if left else 0, self._begin_due) if self._due else None

    def _drop_late(self) -> None:
        now = self._loop.time()
        if now < self._next_drop:
            return
        self._next_drop = now + PATIENCE_SECONDS / 10
        for domain, due in list(self._due.items()):
            while due and due[0].until < now:
                one = due.popleft().one
                if not one.wanted.done():
                    one.wanted.set_exception(_no_turn(domain))
            if not due:
                del self._due[domain]


def _begin_first(due: deque[_Due]) -> bool:
    """Begin the first that is wanted still; False if there is none."""
    while due:
        one = due.popleft().one
        if not one.wanted.done():
            one.wanted.set_result(True)
            return True
    return False


def _no_turn(domain: str) -> Busy:
    return Busy(
        f"domain '{domain}' had no turn when its time came: it has as many runs under way as it may "
        "(limits.domain_runs), or its share of what this worker may have (limits.tasks)"
    )


def _draining() -> Draining:
    return Draining("this worker is about to stop and begins nothing any more")

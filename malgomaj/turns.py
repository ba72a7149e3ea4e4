"""Whose turn it is: so many runs of one domain at once, so many more wait, first come first served."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from malgomaj.errors import Busy


class Hold:
    """What an executor keeps of the turn of a run that was cancelled and may not have stopped yet."""

    def __init__(self, turn: "Turn") -> None:
        self._turn = turn
        self._dropped = False

    def drop(self) -> None:
        """The run takes nobody's place any more."""
        if not self._dropped:
            self._dropped = True
            self._turn.drop()

    def end(self) -> None:
        """It has stopped."""
        self.drop()
        self._turn.note_stopped()


class Turn:
    """A run's place among those of its domain. It is free again when everybody who held it has dropped it."""

    def __init__(self, free: Callable[[], None]) -> None:
        self._free = free
        self._holders = 1
        self._not_stopped = 0
        self._over: asyncio.Event | None = None
        """There once somebody waits for its end; mostly nobody does."""

    def hold(self) -> Hold:
        """Hold on to it for somebody else as well, who must ``end`` that once."""
        self._holders += 1
        self._not_stopped += 1
        return Hold(self)

    def drop(self) -> None:
        self._holders -= 1
        if not self._holders:
            self._free()
            self._look_if_over()

    def note_stopped(self) -> None:
        """What one held it for has stopped."""
        self._not_stopped -= 1
        self._look_if_over()

    async def over(self) -> None:
        """Wait until nobody holds on to it, and what it was held for has stopped."""
        self._over = self._over or asyncio.Event()
        self._look_if_over()
        await self._over.wait()

    def _look_if_over(self) -> None:
        if self._over is not None and not self._holders and not self._not_stopped:
            self._over.set()


@dataclass(slots=True)
class _Queue:
    running: int = 0
    waiting: "deque[asyncio.Future[None]]" = field(default_factory=deque)
    """Somebody waits only while as many run as may."""


class Turns:
    """The turns of all domains.

    A run whose deadline has passed keeps its turn until the executor has said that it is over, or has been replaced
    because it did not say so: what still takes the machine's time is counted.
    """

    def __init__(self, max_running: int, max_waiting: int) -> None:
        self.max_running = max_running
        self._max_waiting = max_waiting
        self._queues: dict[str, _Queue] = {}

    @property
    def waiting(self) -> int:
        """Those of all domains who wait."""
        return sum(len(queue.waiting) for queue in self._queues.values())

    def taken(self, domain: str) -> int:
        """How many turns the domain has now."""
        queue = self._queues.get(domain)
        return queue.running if queue else 0

    async def take(self, domain: str) -> Turn:
        """Wait for a turn, which the caller must ``drop``. Raises Busy if too many wait already."""
        queue = self._queues.get(domain)
        if queue is None:
            queue = self._queues[domain] = _Queue()
        if queue.running < self.max_running:
            queue.running += 1
        else:
            await self._wait(domain, queue)
        return Turn(lambda: self._free(domain))

    async def _wait(self, domain: str, queue: _Queue) -> None:
        if len(queue.waiting) >= self._max_waiting:
            raise Busy(
                f"domain '{domain}' has {self.max_running} runs under way (limits.domain_runs) "
                f"and {len(queue.waiting)} that wait (limits.domain_queue: {self._max_waiting})"
            )
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                queue.waiting.remove(turn)
            else:
                # It was given at the very moment in which it was given up.
                self._free(domain)
            raise

    def _free(self, domain: str) -> None:
        """Give a place to the first who waits."""
        queue = self._queues[domain]
        for turn in queue.waiting:
            if not turn.done():
                queue.waiting.remove(turn)
                turn.set_result(None)
                return
        queue.running -= 1
        if not queue.running and not queue.waiting:
            del self._queues[domain]

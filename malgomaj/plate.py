"""What is on the worker's plate: the tasks accepted and not answered yet, and how long each may take."""

import asyncio
from collections.abc import Callable
from typing import Any

from malgomaj.errors import Busy, Draining


class Place:
    """A task's place on the plate. When its time is up, the asyncio task that holds it is cancelled.

    ``asyncio.timeout`` would do the same, but it costs several times as much, a good part of a short task.
    """

    __slots__ = ("_cancelled", "_cancelling", "_holder", "deadline_ms", "run_id", "until", "unwanted")

    def __init__(self, deadline_ms: int, holder: asyncio.Task[Any], until: float, run_id: str | None) -> None:
        self.deadline_ms = deadline_ms
        self.until = until
        """When its time is up, by the loop's clock."""
        self.run_id = run_id
        self.unwanted = False
        """Whether its time is up since nobody wants its result any more."""
        self._holder = holder
        self._cancelling = holder.cancelling()
        self._cancelled = False

    def end(self) -> None:
        """Let its time be up now."""
        if not self._cancelled:
            self._cancelled = True
            self._holder.cancel()

    def time_is_up(self) -> bool:
        """Whether the CancelledError that the holder has caught means this, and nothing else.

        To be asked once for each: it may be up once more, as long as the holder has not left.
        """
        cancelled, self._cancelled = self._cancelled, False
        return cancelled and self._holder.uncancel() <= self._cancelling


class Timed:
    """Places whose tasks have the same time to run, so that it is up in the order in which they came.

    One timer does for all of them, and it stays for those who come next: one for each would cost a short task as much
    as its program.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, over: Callable[[], None]) -> None:
        """``over`` is called when there is nothing more to wait for."""
        self._loop = loop
        self._over = over
        self._places: dict[Place, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, place: Place) -> None:
        self._places[place] = None
        if self._timer is None:
            self._timer = self._loop.call_at(place.until, self._look)

    def remove(self, place: Place) -> None:
        self._places.pop(place, None)

    def _look(self) -> None:
        now = self._loop.time()
        while self._places:
            first = next(iter(self._places))
            if first.until > now:
                self._timer = self._loop.call_at(first.until, self._look)
                return
            del self._places[first]
            first.end()
        self._over()


class Plate:
    """Bounds the tasks at once, knows their load, and can end them all."""

    def __init__(self, max_tasks: int) -> None:
        self._max_tasks = max_tasks
        self._loop = asyncio.get_running_loop()
        self._places: set[Place] = set()
        self._timed: dict[int, Timed] = {}
        """By deadline (ms)."""
        self._empty = asyncio.Event()
        self._empty.set()
        self._closed = False
        self.load = 0
        """The sum of the deadlines (ms) of what is on the plate."""
        self.ended = False
        """Whether tasks end now because the worker does."""

    def __len__(self) -> int:
        return len(self._places)

    @property
    def room(self) -> int:
        """How much more can be put on the plate now."""
        return 0 if self._closed else self._max_tasks - len(self._places)

    def check(self) -> None:
        """Raises Draining or Busy if nothing more can be put on the plate now."""
        if self._closed:
            raise Draining("this worker is about to stop and takes no more tasks")
        if len(self._places) >= self._max_tasks:
            raise Busy(f"this worker has as many tasks as it may have (limits.tasks: {self._max_tasks})")

    def add(self, deadline_ms: int, until: float, run_id: str | None = None) -> Place:
        """Put on the task that calls this. It has ``until``, by the loop's clock, and must be removed when it ends.

        Those of the same deadline are expected in the order of their ``until``.
        """
        holder = asyncio.current_task(self._loop)
        assert holder is not None
        place = Place(deadline_ms, holder, until, run_id)
        self._places.add(place)
        timed = self._timed.get(deadline_ms)
        if timed is None:
            timed = self._timed[deadline_ms] = Timed(self._loop, lambda: self._drop_timed(deadline_ms))
        timed.add(place)
        self.load += deadline_ms
        self._empty.clear()
        return place

    def remove(self, place: Place) -> None:
        self._places.remove(place)
        if (timed := self._timed.get(place.deadline_ms)) is not None:
            timed.remove(place)
        self.load -= place.deadline_ms
        if not self._places:
            self._empty.set()

    def _drop_timed(self, deadline_ms: int) -> None:
        del self._timed[deadline_ms]

    def close(self) -> None:
        """Take nothing new."""
        self._closed = True

    async def empty(self) -> None:
        """Wait until everything is answered."""
        await self._empty.wait()

    def end(self, run_id: str) -> bool:
        """Let the time of a run be up now, since nobody wants its result; False if it is not on the plate."""
        places = [place for place in self._places if place.run_id == run_id]
        for place in places:
            place.unwanted = True
            place.end()
        return bool(places)

    def end_all(self) -> None:
        """Let the time of everything on the plate be up now."""
        self.ended = True
        for place in self._places:
            place.end()

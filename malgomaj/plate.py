"""What is on the worker's plate: the tasks accepted and not answered yet, and how long each may take."""

import asyncio
from typing import Any

from malgomaj.errors import Busy, Draining


class Place:
    """A task's place on the plate. When its time is up, the asyncio task that holds it is cancelled.

    ``asyncio.timeout`` would do the same, but it costs several times as much, a good part of a short task.
    """

    __slots__ = ("_cancelled", "_cancelling", "_holder", "_timer", "deadline_ms", "run_id", "unwanted")

    def __init__(
        self, deadline_ms: int, loop: asyncio.AbstractEventLoop, until: float, run_id: str | None = None
    ) -> None:
        holder = asyncio.current_task(loop)
        assert holder is not None
        self.deadline_ms = deadline_ms
        self.run_id = run_id
        self.unwanted = False
        """Whether its time is up since nobody wants its result any more."""
        self._holder: asyncio.Task[Any] = holder
        self._cancelling = holder.cancelling()
        self._cancelled = False
        self._timer = loop.call_at(until, self.end)

    def end(self) -> None:
        """Let its time be up now."""
        if not self._cancelled:
            self._cancelled = True
            self._holder.cancel()

    def leave(self) -> None:
        """Let its time never be up."""
        self._timer.cancel()

    def time_is_up(self) -> bool:
        """Whether the CancelledError that the holder has caught means this, and nothing else.

        To be asked once for each: it may be up once more, as long as the holder has not left.
        """
        cancelled, self._cancelled = self._cancelled, False
        return cancelled and self._holder.uncancel() <= self._cancelling


class Plate:
    """Bounds the tasks at once, knows their load, and can end them all."""

    def __init__(self, max_tasks: int) -> None:
        self._max_tasks = max_tasks
        self._loop = asyncio.get_running_loop()
        self._places: set[Place] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._closed = False
        self.load = 0
        """The sum of the deadlines (ms) of what is on the plate."""
        self.ended = False
        """Whether tasks end now because the worker does."""

    def __len__(self) -> int:
        return len(self._places)

    def check(self) -> None:
        """Raises Draining or Busy if nothing more can be put on the plate now."""
        if self._closed:
            raise Draining("this worker is about to stop and takes no more tasks")
        if len(self._places) >= self._max_tasks:
            raise Busy(f"this worker has as many tasks as it may have (limits.tasks: {self._max_tasks})")

    def add(self, deadline_ms: int, until: float, run_id: str | None = None) -> Place:
        """Put on the task that calls this. It has ``until``, by the loop's clock, and must be removed when it ends."""
        place = Place(deadline_ms, self._loop, until, run_id)
        self._places.add(place)
        self.load += deadline_ms
        self._empty.clear()
        return place

    def remove(self, place: Place) -> None:
        place.leave()
        self._places.remove(place)
        self.load -= place.deadline_ms
        if not self._places:
            self._empty.set()

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

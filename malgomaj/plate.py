"""What is on the worker's plate: the tasks accepted and not answered yet, and how long each may take."""

import asyncio

from malgomaj.errors import Busy, Draining
from shared.time_limits import TimeLimit, TimeLimits


class Place(TimeLimit):
    """A task's place on the plate, for as long as the task may take."""

    __slots__ = ("run_id", "unwanted")

    def __init__(self, loop: asyncio.AbstractEventLoop, deadline_ms: int, run_id: str | None) -> None:
        super().__init__(loop, deadline_ms)
        self.run_id = run_id
        self.unwanted = False
        """Whether its time is up since nobody wants its result any more."""


class Plate:
    """Bounds the tasks at once, knows their load, and can end them all."""

    def __init__(self, max_tasks: int) -> None:
        self._max_tasks = max_tasks
        self._loop = asyncio.get_running_loop()
        self._places: set[Place] = set()
        self._limits = TimeLimits(self._loop)
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
        place = Place(self._loop, deadline_ms, run_id)
        self._places.add(place)
        self._limits.begin(place, until)
        self.load += deadline_ms
        self._empty.clear()
        return place

    def remove(self, place: Place) -> None:
        self._places.remove(place)
        self._limits.leave(place)
        self.load -= place.length_ms
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

"""What is on the worker's plate: the tasks accepted and not answered yet, and how long each may take."""

import asyncio

from malgomaj.errors import Busy, Draining


class Plate:
    """Bounds the tasks at once, knows their load, and can end them all."""

    def __init__(self, max_tasks: int) -> None:
        self._max_tasks = max_tasks
        self._tasks: dict[asyncio.Timeout, int] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self._closed = False
        self.load = 0
        """The sum of the deadlines (ms) of what is on the plate."""
        self.ended = False
        """Whether tasks end now because the worker does."""

    def __len__(self) -> int:
        return len(self._tasks)

    def check(self) -> None:
        """Raises Draining or Busy if nothing more can be put on the plate now."""
        if self._closed:
            raise Draining("this worker is about to stop and takes no more tasks")
        if len(self._tasks) >= self._max_tasks:
            raise Busy(f"this worker has as many tasks as it may have (limits.tasks: {self._max_tasks})")

    def add(self, task: asyncio.Timeout, deadline_ms: int) -> None:
        """Put on a task; ``task`` is the timeout that surrounds it."""
        self._tasks[task] = deadline_ms
        self.load += deadline_ms
        self._empty.clear()

    def remove(self, task: asyncio.Timeout) -> None:
        self.load -= self._tasks.pop(task)
        if not self._tasks:
            self._empty.set()

    def close(self) -> None:
        """Take nothing new."""
        self._closed = True

    async def empty(self) -> None:
        """Wait until everything is answered."""
        await self._empty.wait()

    def end_all(self) -> None:
        """Let everything on the plate time out now."""
        self.ended = True
        now = asyncio.get_running_loop().time()
        for task in self._tasks:
            if not task.expired():
                task.reschedule(now)

"""One piece of work for everybody who asks for the same thing at the same time."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from contextvars import Context
from typing import Any, Generic, TypeVar

import structlog

from shared.errors import SelfhostError

ResultT = TypeVar("ResultT")
KeyT = TypeVar("KeyT", bound=Hashable)

log = structlog.get_logger()


class SingleFlight(Generic[KeyT, ResultT]):
    """Work under way, by key. It goes on when those who asked for it have gone; ``close`` ends it."""

    def __init__(self) -> None:
        self._under_way: dict[KeyT, asyncio.Task[ResultT]] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    def start(self, key: KeyT, work: Callable[[], Coroutine[Any, Any, ResultT]]) -> "asyncio.Task[ResultT]":
        """The work under way for ``key``, which is started if there is none.

        It belongs to all who asked: await it through ``asyncio.shield``.
        """
        task = self._under_way.get(key)
        if task is None:
            # The work is nobody's in particular, so it takes nothing of the first asker's logging context.
            task = asyncio.create_task(work(), context=Context())
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))
        return task

    async def close(self) -> None:
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _ended(self, key: KeyT, task: "asyncio.Task[ResultT]") -> None:
        del self._under_way[key]
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, SelfhostError):
            log.error("shared_work_failed", work=str(key), exc_info=error)

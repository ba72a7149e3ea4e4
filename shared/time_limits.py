"""How long an asyncio task may take for something, at a fraction of what ``asyncio.timeout`` costs.

That makes a timer for each, which costs a short task as much as its program. Here those that have the same time share
one: their time is up in the order in which they began.
"""

import asyncio
from collections.abc import Callable
from typing import Any


class TimeLimit:
    """When its time is up, the asyncio task that holds it is cancelled."""

    __slots__ = ("_cancelled", "_cancelling", "_holder", "_left", "length_ms", "until")

    def __init__(self, loop: asyncio.AbstractEventLoop, length_ms: int) -> None:
        """The task that makes it holds it."""
        holder = asyncio.current_task(loop)  # told which loop, for to find it takes a system call
        assert holder is not None, "only a task can be cancelled"
        self.length_ms = length_ms
        self.until = float("inf")
        """When its time is up, by the loop's clock; known once it has begun."""
        self._holder: asyncio.Task[Any] = holder
        self._cancelling = holder.cancelling()
        self._cancelled = False
        self._left = False

    def end(self) -> None:
        """Let its time be up now. Once the holder has left, this does nothing."""
        if not self._cancelled and not self._left:
            self._cancelled = True
            self._holder.cancel()

    def leave(self) -> None:
        self._left = True

    def is_up(self) -> bool:
        """Whether the CancelledError that the holder has caught means this, and nothing else.

        To be asked once for each: it may be up once more, as long as the holder has not left.
        """
        cancelled, self._cancelled = self._cancelled, False
        return cancelled and self._holder.uncancel() <= self._cancelling


class TimeLimits:
    """Those under way, by their length."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._alike: dict[int, _Alike] = {}

    def begin(self, limit: TimeLimit, until: float) -> None:
        """Its time is up at ``until``, by the loop's clock: later than that of those of its length that began before.

        It must :meth:`leave`.
        """
        limit.until = until
        alike = self._alike.get(limit.length_ms)
        if alike is None:
            alike = self._alike[limit.length_ms] = _Alike(self._loop, limit.length_ms, self._drop)
        alike.add(limit)

    def leave(self, limit: TimeLimit) -> None:
        """The holder has done what it had time for."""
        limit.leave()
        if (alike := self._alike.get(limit.length_ms)) is not None:
            alike.remove(limit)

    def _drop(self, length_ms: int) -> None:
        del self._alike[length_ms]


class _Alike:
    """Those of one length. Their timer stays for those who come next."""

    def __init__(self, loop: asyncio.AbstractEventLoop, length_ms: int, drop: Callable[[int], None]) -> None:
        """``drop`` is called when there is nothing more to wait for."""
        self._loop = loop
        self._length_ms = length_ms
        self._drop = drop
        self._limits: dict[TimeLimit, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, limit: TimeLimit) -> None:
        self._limits[limit] = None
        if self._timer is None:
            self._timer = self._loop.call_at(limit.until, self._look)

    def remove(self, limit: TimeLimit) -> None:
        self._limits.pop(limit, None)

    def _look(self) -> None:
        now = self._loop.time()
        while self._limits:
            first = next(iter(self._limits))
            if first.until > now:
                self._timer = self._loop.call_at(first.until, self._look)
                return
            del self._limits[first]
            first.end()
        self._drop(self._length_ms)

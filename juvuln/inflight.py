"""Counting what is under way, so that a manager that is asked to end can wait for it."""

import asyncio
from collections import Counter


class InFlight:
    """How much each domain has under way."""

    def __init__(self) -> None:
        self._count: Counter[str] = Counter()
        self._all = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return self._all

    def of(self, domain: str) -> int:
        return self._count[domain]

    def enter(self, domain: str) -> None:
        """One more is under way, until it is told to :meth:`leave`."""
        self._count[domain] += 1
        self._all += 1
        self._idle.clear()

    def leave(self, domain: str) -> None:
        self._count[domain] -= 1
        if not self._count[domain]:
            del self._count[domain]
        self._all -= 1
        if not self._all:
            self._idle.set()

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        await self._idle.wait()

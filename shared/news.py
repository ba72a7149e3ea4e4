"""Waking those who wait for something new."""

import asyncio


class News:
    """Costs next to nothing while nobody waits. Look first at what there is, then wait, with no ``await`` between."""

    __slots__ = ("_waited_for",)

    def __init__(self) -> None:
        self._waited_for: asyncio.Event | None = None

    def tell(self) -> None:
        """Wake all who wait now."""
        if self._waited_for is not None:
            self._waited_for.set()
            self._waited_for = None

    async def wait(self) -> None:
        """Wait until it is told the next time."""
        if self._waited_for is None:
            self._waited_for = asyncio.Event()
        await self._waited_for.wait()

"""Hearing at once of changes in a PostgreSQL domain that tells of them (see :mod:`juvuln.domains.notify`)."""

import asyncio
from collections.abc import Callable
from typing import Any

from juvuln.async_engine import AsyncEngine
from juvuln.database import DatabaseError, database_errors
from juvuln.domains.notify import CHANNEL

GATHER_SECONDS = 0.1
"""Of a burst of changes only the first is passed on at once; what follows waits and is passed on together."""
CHECK_SECONDS = 30.0
"""A connection whose other end vanished without a word is found out by asking something."""


class Listener:
    """One connection that waits for notifications and calls ``heard``: when it begins to listen, and at each change."""

    def __init__(self, engine: AsyncEngine, what: str, heard: Callable[[], None]) -> None:
        self._engine = engine
        self._what = what
        self._heard = heard

    async def listen(self) -> None:
        """Listen until the connection breaks. Raises DatabaseError, always."""
        with database_errors(self._what):
            async with self._engine.connect() as connection:
                driver = await connection.driver_connection()
                told = asyncio.Event()
                driver.add_termination_listener(lambda _: told.set())
                await driver.add_listener(CHANNEL, lambda *_: told.set())
                # For what was changed before there was anybody to listen.
                told.set()
                try:
                    while not driver.is_closed():
                        await self._pass_on(driver, told)
                finally:
                    await connection.invalidate()
        raise DatabaseError(self._what, "the connection that listens for changes broke")

    async def _pass_on(self, driver: Any, told: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await told.wait()
        except TimeoutError:
            await driver.execute("SELECT 1", timeout=CHECK_SECONDS)
            return
        told.clear()
        self._heard()
        await asyncio.sleep(GATHER_SECONDS)

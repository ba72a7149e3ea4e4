"""The domains that an operator paused, kept beside the record of runs, so that all who open it agree."""

from collections.abc import Sequence

from sqlalchemy import delete, select

from juvuln.async_engine import AsyncEngine
from juvuln.database import transaction
from juvuln.runs.tables import WHAT, paused_domains
from juvuln.upsert import insert_or


class PausedDomains:
    """Every method raises DatabaseError."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def all(self) -> Sequence[str]:
        async with transaction(self._engine, WHAT) as connection:
            return list((await connection.execute(select(paused_domains.c.domain))).scalars())

    async def pause(self, domain: str, since_ms: int) -> bool:
        """False if it is paused already."""
        new = insert_or(self._engine.dialect, paused_domains).values(domain=domain, since_ms=since_ms)
        async with transaction(self._engine, WHAT) as connection:
            return (await connection.execute(new.on_conflict_do_nothing())).rowcount > 0

    async def resume(self, domain: str) -> bool:
        """False if it is not paused."""
        async with transaction(self._engine, WHAT) as connection:
            statement = delete(paused_domains).where(paused_domains.c.domain == domain)
            return (await connection.execute(statement)).rowcount > 0

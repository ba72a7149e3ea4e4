"""Old runs go, in batches that keep nobody waiting. Each is found by an index, however many there are."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Select, delete, exists, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from juvuln.database import transaction
from juvuln.runs.tables import WHAT, runs

ROWS_AT_ONCE = 1_000
"""What others wait for is not kept waiting for longer than these take: a fraction of a second."""

_newer = runs.alias("newer")


async def prune_old(engine: AsyncEngine, ended_before_ms: int) -> int:
    """Delete runs that ended before then. Raises DatabaseError."""
    old = select(runs.c.id).where(runs.c.ended_ms < ended_before_ms, _is_not_the_last_due()).limit(ROWS_AT_ONCE)
    return await _delete_all(engine, old)


async def prune_many(engine: AsyncEngine, keep: int) -> int:
    """Delete all but the newest ``keep`` runs of each program. Raises DatabaseError."""
    deleted = 0
    for domain, uuid in await _with_more(engine, keep):
        mine = (runs.c.domain == domain) & (runs.c.program_uuid == uuid)
        oldest_kept = select(runs.c.id).where(mine).order_by(runs.c.id.desc()).offset(keep - 1).limit(1)
        surplus = select(runs.c.id).where(
            mine, runs.c.id < oldest_kept.scalar_subquery(), runs.c.ended_ms.is_not(None), _is_not_the_last_due()
        )
        deleted += await _delete_all(engine, surplus.order_by(runs.c.id).limit(ROWS_AT_ONCE))
    return deleted


async def _with_more(engine: AsyncEngine, keep: int) -> Sequence[tuple[str, str]]:
    """The programs with more runs than that. One pass over an index; to ask of each program costs far more."""
    count = select(runs.c.domain, runs.c.program_uuid).group_by(runs.c.domain, runs.c.program_uuid)
    async with transaction(engine, WHAT) as connection:
        found = await connection.execute(count.having(func.count() > keep))
    return [(domain, uuid) for domain, uuid in found]


def _is_not_the_last_due() -> ColumnElement[bool]:
    """A routine goes on from its last due time, so that one stays."""
    later = exists().where(
        _newer.c.domain == runs.c.domain,
        _newer.c.program_uuid == runs.c.program_uuid,
        _newer.c.due_ms > runs.c.due_ms,
    )
    return runs.c.due_ms.is_(None) | later


async def _delete_all(engine: AsyncEngine, some: Select[tuple[str]]) -> int:
    """Delete what ``some`` finds, until it finds less than it may."""
    total = 0
    while True:
        async with transaction(engine, WHAT) as connection:
            deleted = (await connection.execute(delete(runs).where(runs.c.id.in_(some)))).rowcount
        total += deleted
        if deleted < ROWS_AT_ONCE:
            return total

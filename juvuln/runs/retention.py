"""Old runs go, slice by slice in the order of an index, with pauses in which others get their turn.

A slice begins where the last one ended: what stays is not looked at again, nor what PostgreSQL keeps of deleted rows.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Row, Select, delete, exists, func, select, tuple_

from juvuln.async_engine import AsyncEngine
from juvuln.database import transaction
from juvuln.runs.tables import WHAT, runs

ROWS_AT_ONCE = 250
"""On SQLite, who wants to write waits for a slice to end: for some hundredths of a second."""

_newer = runs.alias("newer")


async def prune_old(engine: AsyncEngine, ended_before_ms: int) -> int:
    """Delete runs that ended before then. Raises DatabaseError."""
    return await _delete_slices(engine, runs.c.ended_ms < ended_before_ms, (runs.c.ended_ms, runs.c.id))


async def prune_many(engine: AsyncEngine, keep: int) -> int:
    """Delete all but the newest ``keep`` runs of each program. Raises DatabaseError."""
    deleted = 0
    for domain, uuid in await _with_more(engine, keep):
        mine = (runs.c.domain == domain) & (runs.c.program_uuid == uuid)
        oldest_kept = select(runs.c.id).where(mine).order_by(runs.c.id.desc()).offset(keep - 1).limit(1)
        async with transaction(engine, WHAT) as connection:
            first_id = (await connection.execute(oldest_kept)).scalar()
        if first_id is None:
            continue  # another manager on the record has deleted so many meanwhile
        deleted += await _delete_slices(engine, mine & (runs.c.id < first_id), (runs.c.id,))
    return deleted


async def _with_more(engine: AsyncEngine, keep: int) -> Sequence[tuple[str, str]]:
    """The programs with more runs than that. One pass over an index; to ask of each program costs far more."""
    count = select(runs.c.domain, runs.c.program_uuid).group_by(runs.c.domain, runs.c.program_uuid)
    async with transaction(engine, WHAT) as connection:
        found = await connection.execute(count.having(func.count() > keep))
    return [(domain, uuid) for domain, uuid in found]


async def _delete_slices(engine: AsyncEngine, which: ColumnElement[bool], order: Sequence[Column[Any]]) -> int:
    """Delete those of the runs that may go; gives how many. ``order`` is that of an index, then by id."""
    deleted, one = 0, select(*order).where(which).order_by(*order).limit(ROWS_AT_ONCE)
    rest = one
    while True:
        began = time.perf_counter()
        found, gone = await _delete_slice(engine, rest)
        deleted += gone
        if len(found) < ROWS_AT_ONCE:
            return deleted
        last = tuple(found[-1])
        rest = one.where(order[0] >= last[0], tuple_(*order) > tuple_(*last))
        # Those who wait for the lock of SQLite ask for it now and then only.
        await asyncio.sleep(time.perf_counter() - began)


async def _delete_slice(engine: AsyncEngine, some: Select[Any]) -> tuple[Sequence[Row[Any]], int]:
    """Gives what was looked at, and how many of it are deleted."""
    async with transaction(engine, WHAT) as connection:
        found = (await connection.execute(some)).all()
        may_go = delete(runs).where(
            runs.c.id.in_([row.id for row in found]), runs.c.ended_ms.is_not(None), _is_not_the_last_due()
        )
        return found, (await connection.execute(may_go)).rowcount if found else 0


def _is_not_the_last_due() -> ColumnElement[bool]:
    """A routine goes on from its last due time, so that one stays."""
    later = exists().where(
        _newer.c.domain == runs.c.domain,
        _newer.c.program_uuid == runs.c.program_uuid,
        _newer.c.due_ms > runs.c.due_ms,
    )
    return runs.c.due_ms.is_(None) | later

"""Which routines are followed, since when and on which schedule.

Without it a routine that has not run yet, or not on this schedule, would have no place in the record, and what was due
while the manager was away could not be told from what was never due. All is done in the transaction of the caller.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import bindparam, delete, func, select, update

from juvuln.async_engine import AsyncConnection
from juvuln.programs import Program
from juvuln.runs.tables import routines, runs
from juvuln.upsert import insert_or

_FORGET = delete(routines).where(
    routines.c.domain == bindparam("of_domain"), routines.c.program_uuid == bindparam("uuid")
)


@dataclass(frozen=True, slots=True)
class Followed:
    """Where a routine stands."""

    schedule: str
    seen_to_ms: int
    """Up to when its due times were seen to: the last on record, or since when it is followed on this schedule."""


async def all_followed(connection: AsyncConnection, domain: str) -> dict[UUID, Followed]:
    last_due = select(func.max(runs.c.due_ms)).where(
        runs.c.domain == routines.c.domain, runs.c.program_uuid == routines.c.program_uuid
    )
    query = select(routines, last_due.scalar_subquery().label("last_due_ms")).where(routines.c.domain == domain)
    # Due times are told apart by their milliseconds where the clock was set back; those of since_ms mean nothing.
    return {
        UUID(row.program_uuid): Followed(row.schedule, max(row.since_ms // 1000 * 1000, row.last_due_ms or 0))
        for row in await connection.execute(query)
    }


async def follow(connection: AsyncConnection, programs: Iterable[Program], now_ms: int) -> None:
    """Follow routines from now on; those that are followed on the same schedule already stay as they are."""
    rows = [
        {
            "domain": program.key.domain,
            "program_uuid": str(program.key.uuid),
            "schedule": program.schedule,
            "since_ms": now_ms,
        }
        for program in programs
    ]
    if not rows:
        return
    new = insert_or(connection.dialect, routines)
    unless_same = new.on_conflict_do_update(
        index_elements=[routines.c.domain, routines.c.program_uuid],
        set_={"schedule": new.excluded.schedule, "since_ms": new.excluded.since_ms},
        where=routines.c.schedule != new.excluded.schedule,
    )
    await connection.execute(unless_same, rows)


async def forget(connection: AsyncConnection, domain: str, uuids: Iterable[UUID]) -> None:
    rows = [{"of_domain": domain, "uuid": str(uuid)} for uuid in uuids]
    if rows:
        await connection.execute(_FORGET, rows)


async def look_no_further_back(connection: AsyncConnection, than_ms: int) -> None:
    """What was due before then is on record no more: take it as seen to."""
    await connection.execute(update(routines).where(routines.c.since_ms < than_ms).values(since_ms=than_ms))

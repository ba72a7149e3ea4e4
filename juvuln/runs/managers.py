"""The managers that share the record, and what those that are gone left open there.

Each changes its row every so often. Who finds a row as it was at several looks takes its manager for gone, and closes
what that left open. Looks are counted, and no clocks compared: they differ, are set, and stand still with a machine.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import uuid4

import structlog
from sqlalchemy import delete, func, select, update

from juvuln.async_engine import AsyncConnection, AsyncEngine
from juvuln.database import DatabaseError, transaction
from juvuln.runs.meter import RunMeter
from juvuln.runs.tables import WHAT, managers, runs
from juvuln.upsert import insert_or
from shared.wire import Outcome

BEAT_SECONDS = 20.0
GONE_AFTER_LOOKS = 6
"""With the beats between them: a manager that could not reach the record for two minutes is taken for gone."""
LEFT_OPEN = "the manager ended before the worker answered"
"""Why a run is lost."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Sign:
    """What a manager has changed in the record; nothing of it changes any more when it is gone."""

    life: str | None = None
    """None if it has no row: it ended in good order, or is of a version that has none."""
    beats: int = 0
    newest_open: str = ""
    """Of the runs that it has open the one that was claimed last."""


class Managers:
    """As one of them, in one of its lives, sees the others and is seen. Every method raises DatabaseError."""

    def __init__(self, engine: AsyncEngine, name: str, meter: RunMeter) -> None:
        self._engine = engine
        self._name = name
        self._meter = meter
        self._life = uuid4().hex
        self._beats = 0
        self._looks: dict[str, tuple[Sign, int]] = {}
        """The last sign of each other manager, and at how many looks that was found."""

    async def begin(self, now_ms: int) -> int:
        """Close as lost what an earlier life of this manager left open; gives their number."""
        async with transaction(self._engine, WHAT) as connection:
            await self._write_row(connection)
            closed = await _close_open(connection, self._name, now_ms, LEFT_OPEN)
        self._meter.left_open += closed
        return closed

    async def watch(self, now_ms: Callable[[], int]) -> None:
        """For ever: show that this manager is there, and close what others left open that are not."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            try:
                await self._beat_and_look(now_ms())
            except DatabaseError as error:
                log.error("managers_not_watched", reason=error.reason)

    async def _beat_and_look(self, now_ms: int) -> None:
        if not await self.beat():
            note = f"it could not reach the record for long, or another has its name, {self._name}, too: set 'name'"
            log.error("taken_for_another_manager", note=note)
        for name, closed in (await self.look(now_ms)).items():
            log.warning("runs_lost_with_their_manager", manager=name, count=closed)

    async def beat(self) -> bool:
        """Show that this manager is there. False if others took it for gone, or another began under its name."""
        self._beats += 1
        mine = (managers.c.name == self._name) & (managers.c.life == self._life)
        async with transaction(self._engine, WHAT) as connection:
            beat = await connection.execute(update(managers).where(mine).values(beats=self._beats))
            if beat.rowcount:
                return True
            await self._write_row(connection)
        return False

    async def look(self, now_ms: int) -> Mapping[str, int]:
        """Close as lost what managers left open that are gone; gives of each how many runs."""
        async with transaction(self._engine, WHAT) as connection:
            signs = await self._signs(connection)
        before, self._looks = self._looks, {}
        closed = {}
        for name, sign in signs.items():
            known, looks = before.get(name, (None, 0))
            looks = looks + 1 if sign == known else 1
            if looks <= GONE_AFTER_LOOKS:
                self._looks[name] = sign, looks
            elif given_up := await self._give_up(name, sign, now_ms):
                closed[name] = given_up
        self._meter.left_open += sum(closed.values())
        return closed

    async def leave(self) -> None:
        """At the end, when no run is open any more."""
        mine = (managers.c.name == self._name) & (managers.c.life == self._life)
        async with transaction(self._engine, WHAT) as connection:
            await connection.execute(delete(managers).where(mine))

    async def _write_row(self, connection: AsyncConnection) -> None:
        row = {"life": self._life, "beats": self._beats}
        new = insert_or(connection.dialect, managers).values(name=self._name, **row)
        await connection.execute(new.on_conflict_do_update(index_elements=[managers.c.name], set_=row))

    async def _signs(self, connection: AsyncConnection) -> Mapping[str, Sign]:
        """Of the other managers that are there, or have runs open."""
        rows = await connection.execute(select(managers).where(managers.c.name != self._name))
        signs = {row.name: Sign(row.life, row.beats) for row in rows}
        newest = select(runs.c.manager, func.max(runs.c.id).label("id")).group_by(runs.c.manager)
        newest = newest.where(runs.c.outcome.is_(None), runs.c.manager != self._name)
        for row in await connection.execute(newest):
            sign = signs.get(row.manager, Sign())
            signs[row.manager] = Sign(sign.life, sign.beats, row.id)
        return signs

    async def _give_up(self, name: str, sign: Sign, now_ms: int) -> int:
        reason = f"the manager {name} is gone, or could not reach the record for long"
        same = (managers.c.name == name) & (managers.c.life == sign.life) & (managers.c.beats == sign.beats)
        async with transaction(self._engine, WHAT) as connection:
            taken = await connection.execute(delete(managers).where(same))
            if sign.life is not None and not taken.rowcount:
                return 0  # it is there after all, or another manager was quicker
            return await _close_open(connection, name, now_ms, reason, up_to=sign.newest_open)


async def _close_open(
    connection: AsyncConnection, manager: str, ended_ms: int, reason: str, up_to: str | None = None
) -> int:
    """Close as lost the runs that a manager has open, or those no newer than one of them; gives their number."""
    query = update(runs).where(runs.c.manager == manager, runs.c.outcome.is_(None))
    if up_to is not None:
        query = query.where(runs.c.id <= up_to)
    closed = await connection.execute(query.values(outcome=Outcome.LOST.value, ended_ms=ended_ms, reason=reason))
    return closed.rowcount

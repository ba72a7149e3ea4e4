"""The record of runs, for whoever writes to it and reads it.

Whoever reads waits for what is about to come into the database, so that nobody who knows of a run, or that it has
ended, finds it otherwise.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select, text

from juvuln.async_engine import AsyncEngine
from juvuln.database import open_engine, transaction
from juvuln.programs import Changes, Program
from juvuln.runs.followed import all_followed, follow, forget, look_no_further_back
from juvuln.runs.managers import Managers
from juvuln.runs.migrate import migrate
from juvuln.runs.paused_domains import PausedDomains
from juvuln.runs.pending import pending_path
from juvuln.runs.retention import prune_many, prune_old
from juvuln.runs.rows import recorded
from juvuln.runs.run import PastEnding, RecordedRun
from juvuln.runs.tables import WHAT, runs
from juvuln.runs.writer import RecordWriter
from juvuln.runs.writing import Writing, open_writing
from shared.wire import Outcome, ProgramType

DID_NOT_SUCCEED = text("outcome <> 'succeeded'")
"""As it stands in the index of those that did not, by which a database recognizes that it can use it."""
LATELY_ROWS = 5_000
LOOKUPS_AT_ONCE = 2
"""Of how programs did before. Thousands may fail together, and more at once would wait too long for a connection."""


class RunRecord(RecordWriter):
    """Open it with :func:`open_record`."""

    def __init__(
        self,
        engine: AsyncEngine,
        writing: Writing,
        manager: str,
        report_problem: Callable[[str | None], None],
        pending_path: str | None,
    ) -> None:
        super().__init__(writing, manager, report_problem, pending_path)
        self._engine = engine
        self._lookups = asyncio.Semaphore(LOOKUPS_AT_ONCE)
        self.managers = Managers(engine, manager, self.meter)
        self.paused_domains = PausedDomains(engine)

    async def follow(self, domain: str, changes: Changes, now_ms: int) -> None:
        """Note which routines are followed from now on, on which schedule, and which not any more."""
        present = (*changes.added, *changes.changed)
        routines = [program for program in present if program.type is ProgramType.ROUTINE]
        gone = {program.key.uuid for program in (*present, *changes.removed)} - {each.key.uuid for each in routines}
        async with transaction(self._engine, WHAT) as connection:
            await follow(connection, routines, now_ms)
            await forget(connection, domain, gone)

    async def follow_all(self, domain: str, programs: Sequence[Program], now_ms: int) -> Mapping[UUID, int]:
        """The same for a domain as it was found.

        Gives up to when due times were seen to (ms) of those routines that were followed on this schedule before.
        """
        routines = {program.key.uuid: program for program in programs if program.type is ProgramType.ROUTINE}
        async with transaction(self._engine, WHAT) as connection:
            before = await all_followed(connection, domain)
        same = {
            uuid for uuid, known in before.items() if uuid in routines and known.schedule == routines[uuid].schedule
        }
        # There may be a hundred thousand of them, and mostly nothing has changed.
        async with transaction(self._engine, WHAT) as connection:
            await follow(connection, [routine for uuid, routine in routines.items() if uuid not in same], now_ms)
            await forget(connection, domain, before.keys() - routines.keys())
        return {uuid: before[uuid].seen_to_ms for uuid in same}

    async def history(
        self,
        domain: str,
        *,
        program: UUID | None = None,
        outcomes: Collection[Outcome | None] = (),
        limit: int,
        before: str | None = None,
    ) -> Sequence[RecordedRun]:
        """Runs of a domain or of one of its programs, newest first, from before the run ``before`` on.

        With ``outcomes`` only those that ended so; None stands for those under way.
        """
        query = select(runs).where(runs.c.domain == domain).order_by(runs.c.id.desc()).limit(limit)
        if program is not None:
            query = query.where(runs.c.program_uuid == str(program))
        if outcomes:
            ended = runs.c.outcome.in_([outcome.value for outcome in outcomes if outcome is not None])
            query = query.where(ended | runs.c.outcome.is_(None) if None in outcomes else ended)
            if None not in outcomes and Outcome.SUCCEEDED not in outcomes:
                query = query.where(DID_NOT_SUCCEED)
        if before is not None:
            query = query.where(runs.c.id < before)
        return [recorded(row) for row in await self._all(query)]

    async def past(self, program: Program, outcomes: Iterable[Outcome], limit: int) -> Sequence[PastEnding]:
        """How runs of a program ended, in one of these ways, newest first."""
        query = (
            select(runs.c.outcome, runs.c.revision, runs.c.reason)
            .where(runs.c.domain == program.key.domain, runs.c.program_uuid == str(program.key.uuid))
            .where(runs.c.outcome.in_([outcome.value for outcome in outcomes]))
            .order_by(runs.c.id.desc())
            .limit(limit)
        )
        await self.written()
        async with self._lookups:
            rows = await self._read(query)
        return [PastEnding(Outcome(row.outcome), row.revision, row.reason) for row in rows]

    async def failures(self, limit: int) -> Sequence[RecordedRun]:
        """Runs of all domains that did not succeed, newest first: of the last few thousand, so that it costs little."""
        lately = select(runs.c.id).order_by(runs.c.id.desc()).limit(LATELY_ROWS).subquery()
        query = (
            select(runs)
            .where(runs.c.id.in_(select(lately.c.id)), runs.c.outcome != Outcome.SUCCEEDED.value)
            .order_by(runs.c.id.desc())
            .limit(limit)
        )
        return [recorded(row) for row in await self._all(query)]

    async def get(self, domain: str, run_id: str) -> RecordedRun | None:
        rows = await self._all(select(runs).where(runs.c.domain == domain, runs.c.id == run_id))
        return recorded(rows[0]) if rows else None

    async def prune(self, ended_before_ms: int, keep_per_program: int) -> int:
        """Delete runs that ended before then, and of each program all but the newest so many; gives how many.

        Open runs stay, and so does the last due time of each routine.
        """
        async with transaction(self._engine, WHAT) as connection:
            await look_no_further_back(connection, ended_before_ms)
        return await prune_old(self._engine, ended_before_ms) + await prune_many(self._engine, keep_per_program)

    async def _all(self, query: Select[Any]) -> Sequence[Any]:
        await self.written()
        return await self._read(query)

    async def _read(self, query: Select[Any]) -> Sequence[Any]:
        async with transaction(self._engine, WHAT) as connection:
            rows: Sequence[Any] = (await connection.execute(query)).all()
            return rows


@asynccontextmanager
async def open_record(url: str, manager: str, report_problem: Callable[[str | None], None]) -> AsyncIterator[RunRecord]:
    """Open the record, brought to this version's form. Raises DatabaseError, ConfigurationError."""
    engine = open_engine(url, create=True)
    try:
        await migrate(engine, WHAT)
        writing = open_writing(url)
        record = RunRecord(engine, writing, manager, report_problem, pending_path(url))
        try:
            yield record
        finally:
            record.leave_pending()
            await writing.close()
    finally:
        await engine.dispose()

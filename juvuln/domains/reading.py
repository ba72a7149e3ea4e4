"""Reading a domain's programs: whether anything changed at all, then the rows without code, then the code that is new.

What is in the rows was written by others. A row that no program can be made of is left out and named; it stops none
of the others.
"""

import hashlib
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, String, func, select, type_coerce

from juvuln.async_engine import AsyncConnection, AsyncEngine
from juvuln.database import transaction
from juvuln.domains.columns import bytes_of
from juvuln.domains.fingerprint import read_fingerprint
from juvuln.domains.notify import is_installed
from juvuln.domains.tables import programs, revisions
from juvuln.programs import Program, ProgramKey, Programs
from shared.wire import ProgramState, ProgramType

T = TypeVar("T")

ROWS_AT_ONCE = 2_000
"""Between two helpings others have their turn, and no query is larger than a database takes."""
CODES_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Reading:
    """What a domain held when it was read."""

    fingerprint: str = ""
    programs: Programs = field(default_factory=dict)
    """The active routines and webhooks with their newest signed revision."""
    faults: Mapping[str, str] = field(default_factory=dict)
    """Programs that would be among them but for a fault in their rows, by uuid: what the fault is."""
    tells: bool = False
    """Whether the domain sends a notification at every change."""


class DomainReader:
    def __init__(self, name: str, engine: AsyncEngine, what: str) -> None:
        self._name = name
        self._engine = engine
        self._what = what

    async def read(self, known: Reading | None, *, keep: bool = True) -> Reading:
        """``known`` itself if nothing changed since; else what is there now, its old code taken from ``known``.

        ``keep`` the connection for the next who needs one, or close it. Raises DatabaseError.
        """
        async with transaction(self._engine, self._what, keep=keep) as connection:
            # Before the rows: a change in between is in the rows already, and shows in the next fingerprint.
            fingerprint = await read_fingerprint(connection)
            tells = await is_installed(connection)
            if known is None or fingerprint != known.fingerprint:
                programs, faults = await self._read_programs(connection, known.programs if known else {})
                return Reading(fingerprint, programs, faults, tells)
        return known if tells == known.tells else replace(known, tells=tells)

    async def _read_programs(
        self, connection: AsyncConnection, known: Programs
    ) -> tuple[dict[UUID, Program], dict[str, str]]:
        found: dict[UUID, Program] = {}
        faults: dict[str, str] = {}
        async for rows in _helpings(connection):
            fresh: dict[Any, Program] = {}
            for row in rows:
                try:
                    program = self._program(row, known)
                except ValueError as fault:
                    faults[str(row.uuid)] = str(fault)
                    continue
                if program.code:
                    found[program.key.uuid] = program
                else:
                    fresh[row.uuid] = program
            found |= {program.key.uuid: program async for program in _with_codes(connection, fresh)}
        return found, faults

    def _program(self, row: Any, known: Programs) -> Program:
        """The program of a row, with its code if that is known. Raises ValueError for what cannot be a program."""
        if row.no_code:
            raise ValueError(f"its newest signed revision, {row.revision}, has no code")
        uuid = row.uuid if isinstance(row.uuid, UUID) else UUID(_checked("uuid", row.uuid, str))
        before, checksum = known.get(uuid), bytes_of(row.checksum) or b""
        # Without a checksum nobody can tell whether it is the same code.
        same = before is not None and checksum and (before.revision, before.checksum) == (row.revision, checksum)
        program = Program(
            key=ProgramKey(self._name, uuid),
            name=_checked("name", row.name, str),
            type=ProgramType(row.type),
            schedule=sys.intern(_checked("schedule", row.schedule or "", str)),
            deadline_ms=_checked("deadline", row.deadline, int),
            language=sys.intern(_checked("language", row.language, str)),
            revision=_checked("revision", row.revision, int),
            checksum=checksum,
            tags=tuple(map(sys.intern, row.tags)),
            code=before.code if before is not None and same else b"",
            digest=before.digest if before is not None and same else b"",
        )
        return before if before is not None and program == before else program


async def _helpings(connection: AsyncConnection) -> AsyncIterator[Sequence[Any]]:
    """The rows of what runs, in the order of their uuids."""
    dialect = connection.dialect.name
    rows = (await connection.execute(_runnable(dialect))).all()
    while rows:
        yield rows
        rest = _runnable(dialect).where(_raw(dialect, programs.c.uuid) > rows[-1].uuid)
        rows = (await connection.execute(rest)).all() if len(rows) == ROWS_AT_ONCE else []


def _runnable(dialect: str) -> Select[Any]:
    signed = revisions.alias("signed")
    newest = (
        select(func.max(signed.c.revision))
        .where(signed.c.program_uuid == programs.c.uuid, signed.c.signed.is_not(None))
        .scalar_subquery()
    )
    columns = [column for column in programs.c if column.name != "tags"]
    columns += [revisions.c.revision, revisions.c.checksum]
    return (
        select(*[_raw(dialect, column).label(column.name) for column in columns])
        .add_columns(programs.c.tags, revisions.c.code.is_(None).label("no_code"))
        .join_from(
            programs, revisions, (revisions.c.program_uuid == programs.c.uuid) & (revisions.c.revision == newest)
        )
        .where(
            programs.c.state == ProgramState.ACTIVE.value,
            programs.c.type.in_([ProgramType.ROUTINE.value, ProgramType.WEBHOOK.value]),
        )
        .order_by(programs.c.uuid)
        .limit(ROWS_AT_ONCE)
    )


def _raw(dialect: str, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """SQLite lets everybody write anything into any column, so what it holds is converted by us, row by row."""
    return type_coerce(column, String) if dialect == "sqlite" else column


async def _with_codes(connection: AsyncConnection, wanted: Mapping[Any, Program]) -> AsyncIterator[Program]:
    """The programs, by their uuid as the database has it, with their code; without those deleted in the meantime."""
    dialect, keys = connection.dialect.name, list(wanted)
    for start in range(0, len(keys), CODES_AT_ONCE):
        chunk = keys[start : start + CODES_AT_ONCE]
        uuid = _raw(dialect, revisions.c.program_uuid)
        query = select(uuid.label("uuid"), revisions.c.revision, _raw(dialect, revisions.c.code).label("code")).where(
            uuid.in_(chunk), revisions.c.revision.in_({wanted[key].revision for key in chunk})
        )
        for row in await connection.execute(query):
            program = wanted[row.uuid]
            if row.revision == program.revision and row.code is not None:
                code = bytes_of(row.code) or b""
                digest = hashlib.sha256(code).digest()
                yield replace(program, code=code, digest=digest, checksum=program.checksum or digest)


def _checked(column: str, value: Any, kind: type[T]) -> T:
    if not isinstance(value, kind):
        raise ValueError(f"its {column} is {'missing' if value is None else 'of the wrong type'}")
    return value

"""Everything that is asked of one domain's database, and nothing else."""

import hashlib
import hmac
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Insert,
    ScalarSelect,
    Select,
    Text,
    cast,
    delete,
    func,
    insert,
    literal,
    literal_column,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from juvuln.access import Policies, Policy, Principal, own_group
from juvuln.async_engine import AsyncConnection, AsyncEngine
from juvuln.database import transaction
from juvuln.domains.columns import (
    EARLIEST,
    StoredUuid,
    bytes_of,
    readable_time,
    text_of,
    time_of,
    whole_of,
)
from juvuln.domains.listing import Position, in_order
from juvuln.domains.tables import ACTIONS, group_policies, groups, programs, revisions, user_groups, user_tokens, users
from shared.errors import SelfhostError
from shared.wire import ProgramState, ProgramType

MAX_REVISION_RACES = 50
CHUNK = 500
"""Programs that are read from the database at once."""

Used = Callable[[], AbstractContextManager[None]]


class NotFoundError(SelfhostError):
    """There is no such program, revision or module in the domain."""


@dataclass(frozen=True, slots=True)
class Specification:
    """A program's row, without its code."""

    uuid: UUID
    name: str
    type: str
    state: str
    schedule: str
    deadline: int
    language: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision's row, without its code."""

    revision: int
    created: datetime
    created_by: UUID | None
    signed: datetime | None
    signed_by: UUID | None
    checksum: bytes | None


@dataclass(frozen=True, slots=True)
class ModuleCode:
    revision: int
    code: bytes
    checksum: bytes


class DomainStore:
    """One domain's database. Every method raises DatabaseError while it is away."""

    def __init__(self, name: str, engine: AsyncEngine, used: Used = nullcontext) -> None:
        """``used`` is entered around every use of the database; it may refuse it with DatabaseError."""
        self.name = name
        self._engine = engine
        self._used = used
        self.what = f"database of domain {name}"

    async def close(self) -> None:
        await self._engine.dispose()

    async def module(self, name: str, language: str, revision: int | None) -> ModuleCode:
        """The code of an active module: its newest signed revision, or ``revision`` if that is signed.

        Raises NotFoundError.
        """
        query = (
            select(revisions.c.revision, revisions.c.code, revisions.c.checksum)
            .join(programs, programs.c.uuid == revisions.c.program_uuid)
            .where(
                programs.c.name == name,
                programs.c.language == language,
                programs.c.type == ProgramType.MODULE.value,
                programs.c.state == ProgramState.ACTIVE.value,
                revisions.c.signed.is_not(None),
            )
            .order_by(revisions.c.revision.desc(), programs.c.uuid)
            .limit(1)
        )
        if revision is not None:
            query = query.where(revisions.c.revision == revision)
        row = await self._first(query)
        if row is None:
            wanted = "latest" if revision is None else str(revision)
            raise NotFoundError(f"there is no active {language} module {name}@{wanted} that is signed in {self.name}")
        code = bytes_of(row.code)
        if code is None:
            raise NotFoundError(f"revision {row.revision} of module {name} in {self.name} has no code")
        return ModuleCode(row.revision, code, hashlib.sha256(code).digest())

    async def principal(self, token_hash: bytes) -> Principal | None:
        """The user to whom a token (its SHA-256) belongs, with the policies of the user's groups."""
        async with self._transaction() as connection:
            user = (
                await connection.execute(
                    select(users.c.uuid, users.c.name, user_tokens.c.token_hash)
                    .join(user_tokens, user_tokens.c.user_uuid == users.c.uuid)
                    .where(user_tokens.c.token_hash == token_hash)
                    .limit(1)
                )
            ).first()
            if user is None or not hmac.compare_digest(bytes(user.token_hash), token_hash):
                return None
            membership = select(user_groups.c.group_uuid).where(user_groups.c.user_uuid == user.uuid)
            group_rows = await connection.execute(
                select(groups.c.uuid, groups.c.name).where(groups.c.uuid.in_(membership)).order_by(groups.c.uuid)
            )
            # As text: a kind that we do not know is neither an allow nor a deny.
            policies = await connection.execute(
                select(
                    cast(group_policies.c.effect, Text), cast(group_policies.c.action, Text), group_policies.c.resource
                ).where(group_policies.c.group_uuid.in_(membership))
            )
        return Principal(
            domain=self.name,
            user=user.uuid,
            own_group=own_group(user.uuid, user.name, {row.uuid: row.name for row in group_rows}),
            policies=Policies(Policy(*row) for row in policies),
        )

    async def programs(
        self,
        *,
        limit: int,
        offset: int = 0,
        after: Position | None = None,
        tags: Iterable[str] = (),
        name: str | None = None,
        may_read: Callable[[UUID], bool] | None = None,
    ) -> Sequence[Specification]:
        """``limit`` readable programs from ``offset`` on, of those after ``after`` with one of ``tags`` and ``name``.

        However many there are, no more are fetched than it takes. ``may_read`` None: all may be read.
        """
        query = in_order(self._engine.dialect.name, after, tags, name)
        if may_read is None:
            query = query.limit(limit).offset(offset)
        found: list[Any] = []
        async with self._transaction() as connection, connection.stream(query) as rows:
            async for chunk in rows.partitions(CHUNK):
                # Rows are dear to convert: only those that are given back are.
                found += [row for row in chunk if row.uuid is not None and (may_read is None or may_read(row.uuid))]
                if may_read is not None and len(found) >= offset + limit:
                    break
        page = found if may_read is None else found[offset : offset + limit]
        return [_specification(row) for row in page]

    async def specification(self, uuid: UUID) -> Specification:
        """Raises NotFoundError."""
        row = await self._first(select(programs).where(programs.c.uuid == uuid))
        if row is None:
            raise self._no_program(uuid)
        return _specification(row)

    async def create_program(self, specification: Specification, owners: Sequence[UUID], make_uuid: Any) -> None:
        """Add a program; each group of ``owners`` that there is gets the four actions on what belongs to it."""
        async with self._transaction() as connection:
            await connection.execute(insert(programs).values(**_columns(specification)))
            for group in owners:
                for action in ACTIONS:
                    await connection.execute(_policy(make_uuid(), group, action, f"programs/{specification.uuid}/%"))

    async def update_program(self, uuid: UUID, changes: Mapping[str, Any]) -> None:
        """Set columns of a program. Raises NotFoundError."""
        async with self._transaction() as connection:
            if changes:
                result = await connection.execute(update(programs).where(programs.c.uuid == uuid).values(**changes))
                found = result.rowcount
            else:
                found = (await connection.execute(select(func.count()).where(programs.c.uuid == uuid))).scalar_one()
        if not found:
            raise self._no_program(uuid)

    async def delete_program(self, uuid: UUID) -> None:
        """Remove a program and all its revisions. Raises NotFoundError."""
        async with self._transaction() as connection:
            await connection.execute(delete(revisions).where(revisions.c.program_uuid == uuid))
            result = await connection.execute(delete(programs).where(programs.c.uuid == uuid))
        if not result.rowcount:
            raise self._no_program(uuid)

    async def signed_code(self, uuid: UUID) -> bytes:
        """The newest signed code. Raises NotFoundError."""
        row = await self._first(
            select(revisions.c.code)
            .where(revisions.c.program_uuid == uuid, revisions.c.signed.is_not(None))
            .order_by(revisions.c.revision.desc())
            .limit(1)
        )
        if row is None:
            raise NotFoundError(f"program {uuid} has no signed code")
        code = bytes_of(row.code)
        if code is None:
            raise NotFoundError(f"the newest signed revision of program {uuid} has no code")
        return code

    async def code(self, uuid: UUID, revision: int) -> bytes:
        """The code of a revision, signed or not; nothing where none was ever stored. Raises NotFoundError."""
        row = await self._first(
            select(revisions.c.code).where(revisions.c.program_uuid == uuid, revisions.c.revision == revision)
        )
        if row is None:
            raise self._no_revision(uuid, revision)
        return bytes_of(row.code) or b""

    async def revisions(self, uuid: UUID) -> Sequence[Revision]:
        """All revisions of a program, oldest first. Raises NotFoundError if there is no such program."""
        await self.specification(uuid)
        columns = [column for column in revisions.c if column.name not in ("code", "program_uuid", "created", "signed")]
        times = [
            readable_time(self._engine.dialect.name, column) for column in (revisions.c.created, revisions.c.signed)
        ]
        rows = await self._all(
            select(*columns, *times).where(revisions.c.program_uuid == uuid).order_by(revisions.c.revision)
        )
        return [
            Revision(
                row.revision,
                time_of(row.created) or EARLIEST,
                row.created_by,
                time_of(row.signed),
                row.signed_by,
                bytes_of(row.checksum),
            )
            for row in rows
        ]

    async def add_revision(self, uuid: UUID, code: bytes, by: UUID, at: datetime) -> int:
        """Add code as the next revision; gives its number: one more than the highest. Raises NotFoundError."""
        row = {
            "program_uuid": uuid,
            "created": at,
            "created_by": _user(by),
            "code": code,
            "checksum": hashlib.sha256(code).digest(),
            "revision": select(func.coalesce(func.max(revisions.c.revision) + 1, 0))
            .where(revisions.c.program_uuid == uuid)
            .scalar_subquery(),
        }
        # Those who upload at once wait here for one another; SQLite, which has no such lock, lets one write at a time.
        program = select(programs.c.uuid).where(programs.c.uuid == uuid).with_for_update()
        for _ in range(MAX_REVISION_RACES):
            try:
                async with self._transaction() as connection:
                    if (await connection.execute(program)).first() is None:
                        raise self._no_program(uuid)
                    result = await connection.execute(insert(revisions).values(row).returning(revisions.c.revision))
                    number: int = result.scalar_one()
            except IntegrityError:
                continue  # somebody else, who does not wait, took the number or the program away in the same moment
            return number
        raise SelfhostError(f"program {uuid} is given new code so often that no number could be had; try again")

    async def sign_revision(self, uuid: UUID, revision: int, by: UUID, at: datetime) -> None:
        """Sign a revision. Raises NotFoundError."""
        where = (revisions.c.program_uuid == uuid, revisions.c.revision == revision)
        async with self._transaction() as connection:
            result = await connection.execute(update(revisions).where(*where).values(signed=at, signed_by=_user(by)))
        if not result.rowcount:
            raise self._no_revision(uuid, revision)

    async def delete_revision(self, uuid: UUID, revision: int) -> None:
        """Remove a revision. Raises NotFoundError."""
        where = (revisions.c.program_uuid == uuid, revisions.c.revision == revision)
        async with self._transaction() as connection:
            result = await connection.execute(delete(revisions).where(*where))
        if not result.rowcount:
            raise self._no_revision(uuid, revision)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        with self._used():
            async with transaction(self._engine, self.what) as connection:
                yield connection

    async def _first(self, query: Select[Any]) -> Any:
        async with self._transaction() as connection:
            return (await connection.execute(query)).first()

    async def _all(self, query: Select[Any]) -> Sequence[Any]:
        async with self._transaction() as connection:
            rows: Sequence[Any] = (await connection.execute(query)).all()
            return rows

    def _no_program(self, uuid: UUID) -> NotFoundError:
        return NotFoundError(f"domain {self.name} has no program {uuid}")

    def _no_revision(self, uuid: UUID, revision: int) -> NotFoundError:
        return NotFoundError(f"program {uuid} has no revision {revision}")


def _specification(row: Any) -> Specification:
    return Specification(
        uuid=row.uuid,
        name=text_of(row.name),
        type=text_of(row.type),
        state=text_of(row.state),
        schedule=text_of(row.schedule),
        deadline=whole_of(row.deadline),
        language=text_of(row.language),
        tags=tuple(text_of(tag) for tag in row.tags),
    )


def _columns(specification: Specification) -> dict[str, Any]:
    return {
        "uuid": specification.uuid,
        "name": specification.name,
        "type": specification.type,
        "state": specification.state,
        "schedule": specification.schedule,
        "deadline": specification.deadline,
        "language": specification.language,
        "tags": list(specification.tags),
    }


def _policy(uuid: UUID, group: UUID, action: str, resource: str) -> Insert:
    """Allow ``group`` an action; nothing if there is no such group any more."""
    # The enum types have names of their own in each database: a bare literal fits them all.
    values = [
        literal(uuid, StoredUuid),
        groups.c.uuid,
        literal(0),
        literal_column("'allow'"),
        literal_column(f"'{action}'"),
        literal(resource),
    ]
    columns = ["uuid", "group_uuid", "priority", "effect", "action", "resource"]
    return insert(group_policies).from_select(columns, select(*values).where(groups.c.uuid == group))


def _user(uuid: UUID) -> ScalarSelect[Any]:
    """The user's uuid; NULL if the user was deleted while the request was on its way."""
    return select(users.c.uuid).where(users.c.uuid == uuid).scalar_subquery()

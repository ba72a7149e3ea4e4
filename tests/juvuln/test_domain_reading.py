"""Reading a domain's programs, on both kinds of database, by statements that somebody else would write."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event, text

from juvuln.async_engine import AsyncEngine
from juvuln.database import open_engine
from juvuln.domains.create import ROOT_UUID, create_domain
from juvuln.domains.reading import DomainReader
from juvuln.domains.store import DomainStore, Specification
from shared.auth import sha256
from tests.support.databases import DatabaseServer

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Written:
    """A domain that somebody else writes to, with an engine of his own."""

    def __init__(self, ours: AsyncEngine, theirs: AsyncEngine) -> None:
        self.engine = ours
        self.reader = DomainReader("test", ours, "database of domain test")
        self.store = DomainStore("test", theirs)
        self.theirs = theirs

    async def add(self, name: str, code: bytes | None = None, kind: str = "webhook", state: str = "active") -> UUID:
        uuid = uuid4()
        await self.store.create_program(
            Specification(uuid, name, kind, state, "", 500, "tengo", ("a", "b")), [ROOT_UUID], uuid4
        )
        if code is not None:
            await self.revise(uuid, code)
        return uuid

    async def revise(self, uuid: UUID, code: bytes, *, signed: bool = True) -> None:
        number = await self.store.add_revision(uuid, code, ROOT_UUID, NOW)
        if signed:
            await self.store.sign_revision(uuid, number, ROOT_UUID, NOW)

    async def execute(self, *statements: str) -> None:
        async with self.theirs.begin() as connection:
            for statement in statements:
                await connection.execute(text(statement))


@pytest.fixture
async def domain(databases: DatabaseServer) -> AsyncIterator[Written]:
    url = await databases.create()
    made = Written(open_engine(url, create=True), open_engine(url, create=True))
    await create_domain(made.theirs, "test", NOW)
    yield made
    await made.engine.dispose()
    await made.theirs.dispose()


async def test_what_runs_is_the_newest_signed_revision_of_active_routines_and_webhooks(domain: Written) -> None:
    both = await domain.add("both", b"one")
    await domain.revise(both, b"two")
    await domain.revise(both, b"three", signed=False)
    await domain.revise(await domain.add("unsigned"), b"x", signed=False)
    await domain.add("inactive", b"x", state="inactive")
    await domain.add("module", b"x", kind="module")
    programs = (await domain.reader.read(None)).programs
    assert set(programs) == {both}
    assert (programs[both].revision, programs[both].code, programs[both].checksum) == (1, b"two", sha256("two"))
    assert programs[both].tags == ("a", "b")


async def test_every_change_of_a_program_or_revision_shows_and_nothing_else_does(domain: Written) -> None:
    await domain.add("hook", b"one")
    module = await domain.add("module", b"one", kind="module", state="inactive")
    await domain.revise(module, b"two", signed=False)
    last = await domain.reader.read(None)
    for statement in (
        "UPDATE programs SET name = 'other' WHERE name = 'module'",
        "UPDATE programs SET state = 'active' WHERE name = 'other'",
        "UPDATE programs SET schedule = '@daily', deadline = 7 WHERE name = 'none'",
        "UPDATE programs SET deadline = 7 WHERE name = 'other'",
        "UPDATE programs SET schedule = '@daily' WHERE name = 'other'",
        "UPDATE programs SET language = 'lua' WHERE name = 'other'",
        "UPDATE program_code_revisions SET signed = CURRENT_TIMESTAMP WHERE revision = 1",
        "UPDATE program_code_revisions SET signed = NULL WHERE revision = 1",
        "UPDATE program_code_revisions SET checksum = code WHERE revision = 1",
        "DELETE FROM program_code_revisions WHERE revision = 1",
        "DELETE FROM programs WHERE name = 'other'",
        "UPDATE users SET state = 'inactive'",
    ):
        await domain.execute(statement)
        reading = await domain.reader.read(last)
        shows = "'none'" not in statement and "users" not in statement
        assert (reading.fingerprint != last.fingerprint) == shows, statement
        assert (reading is not last) == shows, statement
        last = reading


async def test_one_query_tells_that_nothing_changed_and_code_is_fetched_only_if_it_is_new(domain: Written) -> None:
    kept, changed = await domain.add("kept", b"kept"), await domain.add("changed", b"old")
    first = await domain.reader.read(None)
    statements: list[str] = []

    @event.listens_for(domain.engine.sync_engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    assert await domain.reader.read(first) is first
    assert not [statement for statement in statements if "FROM programs JOIN" in statement]
    statements.clear()
    await domain.execute("UPDATE programs SET name = 'renamed' WHERE name = 'kept'")
    second = await domain.reader.read(first)
    assert (second.programs[kept].name, second.programs[kept].code) == ("renamed", b"kept")
    assert second.programs[changed] is first.programs[changed]
    assert not [statement for statement in statements if "AS code" in statement]
    await domain.revise(changed, b"new")
    third = await domain.reader.read(second)
    assert third.programs[changed].code == b"new"
    assert third.programs[kept] is second.programs[kept]


async def test_more_programs_than_one_helping_are_read_once_each(
    domain: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("juvuln.domains.reading.ROWS_AT_ONCE", 3)
    monkeypatch.setattr("juvuln.domains.reading.CODES_AT_ONCE", 2)
    uuids = [await domain.add(f"p{number}", f"code {number}".encode()) for number in range(9)]
    programs = (await domain.reader.read(None)).programs
    assert set(programs) == set(uuids)
    assert [programs[uuid].code for uuid in uuids] == [f"code {number}".encode() for number in range(9)]


async def test_our_own_changes_through_the_same_connection_show_too(domain: Written) -> None:
    last = await domain.reader.read(None)
    async with domain.engine.begin() as connection:
        await connection.execute(text(f"INSERT INTO groups (uuid, name) VALUES ('{uuid4().hex}', 'g')"))
    assert await domain.reader.read(last) is last
    ours = DomainStore("test", domain.engine)
    uuid = uuid4()
    await ours.create_program(Specification(uuid, "p", "webhook", "active", "", 1, "tengo", ()), [], uuid4)
    number = await ours.add_revision(uuid, b"x", ROOT_UUID, NOW)
    await ours.sign_revision(uuid, number, ROOT_UUID, NOW + timedelta(seconds=1))
    assert set((await domain.reader.read(last)).programs) == {uuid}


async def test_a_row_that_no_program_can_be_made_of_is_named_and_stops_no_other(domain: Written) -> None:
    kept, empty = await domain.add("kept", b"kept"), await domain.add("empty", b"empty")
    unknown = await domain.add("unknown", b"x")
    await domain.execute(
        f"UPDATE program_code_revisions SET code = NULL WHERE program_uuid = '{_stored(domain, empty)}'",
        f"UPDATE programs SET type = 'odd' WHERE uuid = '{_stored(domain, unknown)}'",
    )
    reading = await domain.reader.read(None)
    assert set(reading.programs) == {kept}
    assert list(reading.faults.values()) == ["its newest signed revision, 0, has no code"]


async def test_the_digest_is_that_of_the_code_whatever_the_checksum_says(domain: Written) -> None:
    uuid = await domain.add("p", b"one")
    await domain.execute("UPDATE program_code_revisions SET checksum = code")
    first = await domain.reader.read(None)
    assert (first.programs[uuid].checksum, first.programs[uuid].digest) == (b"one", sha256("one"))
    await domain.execute("UPDATE programs SET deadline = 77")
    second = await domain.reader.read(first)
    assert (second.programs[uuid].deadline_ms, second.programs[uuid].digest) == (77, sha256("one"))


async def test_code_without_a_checksum_gets_one_and_is_fetched_whenever_something_changed(domain: Written) -> None:
    uuid = await domain.add("p", b"one")
    await domain.execute("UPDATE program_code_revisions SET checksum = NULL")
    first = await domain.reader.read(None)
    assert first.programs[uuid].checksum == sha256("one")
    await domain.execute("UPDATE programs SET deadline = 1")
    assert (await domain.reader.read(first)).programs[uuid].code == b"one"


async def test_odd_values_that_sqlite_takes_stop_no_other(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/d.db"
    made = Written(open_engine(url, create=True), open_engine(url))
    await create_domain(made.engine, "test", NOW)
    kept = await made.add("kept", b"kept")
    for column, value in (
        ("uuid", "'no uuid'"),
        ("uuid", "x'00ff'"),
        ("name", "x'00ff'"),
        ("deadline", "'soon'"),
        ("schedule", "x'ff'"),
        ("language", "x'00'"),
    ):
        name = f"odd-{uuid4()}"
        uuid = await made.add(name, b"x")
        if column == "uuid":
            async with made.theirs.connect() as connection:
                await connection.execute(text("PRAGMA foreign_keys = OFF"))
                await connection.execute(
                    text(f"UPDATE program_code_revisions SET program_uuid = {value} WHERE program_uuid = '{uuid.hex}'")
                )
                await connection.execute(text(f"UPDATE programs SET uuid = {value} WHERE name = '{name}'"))
                await connection.run_sync(lambda sync: sync.commit())
        else:
            await made.execute(f"UPDATE programs SET {column} = {value} WHERE uuid = '{uuid.hex}'")
    reading = await made.reader.read(None)
    assert set(reading.programs) == {kept}
    assert len(reading.faults) == 6
    await made.engine.dispose()
    await made.theirs.dispose()


def _stored(domain: Written, uuid: UUID) -> str:
    """A uuid as the database writes it."""
    return uuid.hex if domain.theirs.dialect.name == "sqlite" else str(uuid)

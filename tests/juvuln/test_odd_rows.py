"""Whatever somebody wrote into a domain's tables: it is read, or left out, and stops none of the other programs."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from hypothesis import example, given, settings
from hypothesis import strategies as st

from juvuln.api.views import ProgramView, RevisionView
from juvuln.database import open_engine
from juvuln.domains.create import ROOT_UUID, create_domain
from juvuln.domains.reading import DomainReader
from juvuln.domains.store import DomainStore, NotFoundError, Specification
from tests.support.databases import PostgresServer
from tests.support.selfhost import make_selfhost_domain

PROGRAM = ("uuid", "name", "type", "state", "schedule", "deadline", "language", "tags")
REVISION = ("program_uuid", "revision", "created", "created_by", "signed", "signed_by", "code", "checksum")
Row = dict[str, Any]

words = st.sampled_from(["webhook", "routine", "module", "active", "tengo", "", "0s", "latest"])
texts = st.one_of(words, st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
something = st.one_of(texts, st.integers(-(2**63), 2**63 - 1), st.floats(), st.binary(max_size=20))
anything = something | st.none()
in_sqlite = st.tuples(
    st.fixed_dictionaries(dict.fromkeys(PROGRAM[1:], something)),
    st.fixed_dictionaries({"revision": st.integers(0, 9), **dict.fromkeys(REVISION[2:], anything)}),
)
stamps = st.sampled_from(["now", "infinity", "-infinity", "4713-01-01 BC", "294276-12-31"])
in_postgresql = st.tuples(
    st.fixed_dictionaries(
        dict.fromkeys(PROGRAM[1:5], texts)
        | {"deadline": st.integers(-(2**31), 2**31 - 1), "language": texts, "tags": st.lists(texts, max_size=3)}
    ),
    st.fixed_dictionaries(
        {"revision": st.integers(-(2**31), 2**31 - 1), "created": stamps, "signed": stamps | st.none()}
        | {column: st.none() | st.binary(max_size=20) for column in ("code", "checksum")}
    ),
)
odd_program: Row = dict.fromkeys(PROGRAM[1:], "") | {"name": "odd", "deadline": 0, "language": "tengo"}
signed: Row = dict.fromkeys(REVISION[2:], "") | {"revision": 0, "signed": "now"}
fitting = {"type": "webhook", "state": "active"}


async def read_everything(store: DomainStore, reader: DomainReader, sound: UUID) -> None:
    """As the manager and its users do."""
    programs = (await reader.read(None)).programs
    assert programs[sound].code == b"sound"
    listed = await store.programs(limit=1000)
    assert sound in {program.uuid for program in listed}
    for program in listed:
        ProgramView.of(await store.specification(program.uuid)).model_dump_json()
        for revision in await store.revisions(program.uuid):
            RevisionView.of(revision).model_dump_json()
            await store.code(program.uuid, revision.revision)
        try:
            await store.signed_code(program.uuid)
        except NotFoundError:
            continue  # nothing signed, or no code


async def opened(url: str, *, create: bool) -> tuple[DomainStore, DomainReader, UUID]:
    """A domain with a sound program."""
    engine = open_engine(url, create=True)
    if create:
        await create_domain(engine, "test", datetime.now(UTC))
    store, sound = DomainStore("test", engine), uuid4()
    await store.create_program(Specification(sound, "sound", "webhook", "active", "", 0, "tengo", ()), [], uuid4)
    await store.add_revision(sound, b"sound", ROOT_UUID, datetime.now(UTC))
    await store.sign_revision(sound, 0, ROOT_UUID, datetime.now(UTC))
    return store, DomainReader("test", engine, store.what), sound


def test_sqlite_where_every_column_holds_anything(tmp_path: Path) -> None:
    path = tmp_path / "domain.db"

    def write(rows: list[tuple[Row, Row]], as_expected: bool, sound: UUID) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DELETE FROM program_code_revisions WHERE program_uuid != ?", (sound.hex,))
            connection.execute("DELETE FROM programs WHERE uuid != ?", (sound.hex,))
            for program, revision in rows:
                key = uuid4().hex if as_expected else repr(program)[:40] + uuid4().hex
                insert(connection, "programs", {"uuid": key, **program, **(fitting if as_expected else {})})
                insert(connection, "program_code_revisions", {"program_uuid": key, **revision})

    with asyncio.Runner() as runner:
        store, reader, sound = runner.run(opened(f"sqlite:///{path}", create=True))

        @settings(max_examples=50, deadline=None)
        @given(rows=st.lists(in_sqlite, max_size=4), as_expected=st.booleans())
        @example(rows=[(odd_program, signed | {"checksum": 2**40})], as_expected=True)
        @example(rows=[(odd_program, signed | {"code": 2**40})], as_expected=True)
        def check(rows: list[tuple[Row, Row]], as_expected: bool) -> None:
            write(rows, as_expected, sound)
            runner.run(read_everything(store, reader, sound))

        try:
            check()
        finally:
            runner.run(store.close())


def insert(connection: sqlite3.Connection, table: str, row: Row) -> None:
    places = ", ".join("?" * len(row))
    connection.execute(f"INSERT OR IGNORE INTO {table} ({', '.join(row)}) VALUES ({places})", tuple(row.values()))


def test_postgresql_where_every_column_holds_what_it_can(postgres_server: PostgresServer) -> None:
    with asyncio.Runner() as runner:
        url = runner.run(postgres_server.create())
        runner.run(make_selfhost_domain(url))
        store, reader, sound = runner.run(opened(url, create=False))

        @settings(max_examples=50, deadline=None)
        @given(rows=st.lists(in_postgresql, max_size=4))
        def check(rows: list[tuple[Row, Row]]) -> None:
            runner.run(write_to_postgresql(url, rows, sound))
            runner.run(read_everything(store, reader, sound))

        try:
            check()
        finally:
            runner.run(store.close())


async def write_to_postgresql(url: str, rows: list[tuple[Row, Row]], sound: UUID) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("DELETE FROM programs WHERE uuid != $1", sound)
    for given_program, revision in rows:
        uuid = uuid4()
        program = {"uuid": uuid, **given_program, **fitting}
        places = ", ".join(f"${number}" for number in range(1, len(program) + 1))
        await connection.execute(f"INSERT INTO programs ({', '.join(program)}) VALUES ({places})", *program.values())
        await connection.execute(
            "INSERT INTO program_code_revisions (program_uuid, revision, created, signed, code, checksum) "
            "VALUES ($1, $2, $3::text::timestamptz, $4::text::timestamptz, $5, $6)",
            uuid,
            *(revision[column] for column in ("revision", "created", "signed", "code", "checksum")),
        )
    await connection.close()

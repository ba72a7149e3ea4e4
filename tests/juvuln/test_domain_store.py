"""One domain's database, on both kinds."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from juvuln.database import DatabaseError, open_engine
from juvuln.domains.create import ROOT_UUID, create_domain
from juvuln.domains.store import DomainStore, NotFoundError, Specification
from shared.auth import sha256
from shared.errors import ConfigurationError
from tests.support.databases import DatabaseServer

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
async def store(databases: DatabaseServer) -> AsyncIterator[DomainStore]:
    engine = open_engine(await databases.create(), create=True)
    await create_domain(engine, "test", NOW)
    opened = DomainStore("test", engine)
    yield opened
    await opened.close()


async def add(store: DomainStore, name: str, kind: str = "webhook", state: str = "active") -> UUID:
    uuid = uuid4()
    await store.create_program(Specification(uuid, name, kind, state, "", 500, "tengo", ("a", "b")), [ROOT_UUID], uuid4)
    return uuid


async def revise(store: DomainStore, uuid: UUID, code: bytes, *, signed: bool) -> None:
    number = await store.add_revision(uuid, code, ROOT_UUID, NOW)
    if signed:
        await store.sign_revision(uuid, number, ROOT_UUID, NOW)


async def test_modules_are_found_by_name_and_revision_if_signed(store: DomainStore) -> None:
    module = await add(store, "math", kind="module")
    for code, signed in ((b"zero", True), (b"one", False), (b"two", True), (b"three", False)):
        await revise(store, module, code, signed=signed)
    assert (await store.module("math", "tengo", None)).code == b"two"
    assert (await store.module("math", "tengo", 0)).code == b"zero"
    for name, language, revision in (("math", "tengo", 1), ("math", "lua", None), ("other", "tengo", None)):
        with pytest.raises(NotFoundError, match="signed"):
            await store.module(name, language, revision)


async def test_a_fresh_domain_has_root_who_may_do_everything(store: DomainStore) -> None:
    principal = await store.principal(sha256("root"))
    assert principal is not None
    assert (principal.user, principal.own_group) == (ROOT_UUID, ROOT_UUID)
    assert principal.may("delete", "programs/whatever")
    assert await store.principal(sha256("wrong")) is None


async def test_revisions_are_numbered_without_gaps_however_many_upload_at_once(store: DomainStore) -> None:
    uuid = await add(store, "busy")
    numbers = await asyncio.gather(
        *[store.add_revision(uuid, f"code {number}".encode(), ROOT_UUID, NOW) for number in range(20)]
    )
    assert sorted(numbers) == list(range(20))
    assert [revision.revision for revision in await store.revisions(uuid)] == list(range(20))


async def test_times_come_back_aware_and_checksums_are_those_of_the_code(store: DomainStore) -> None:
    uuid = await add(store, "p")
    await revise(store, uuid, b"code", signed=True)
    (revision,) = await store.revisions(uuid)
    assert revision.created == NOW
    assert revision.signed == NOW
    assert revision.checksum == sha256("code")


async def test_what_is_not_there_is_said_so(store: DomainStore) -> None:
    with pytest.raises(NotFoundError, match="no program"):
        await store.specification(uuid4())
    with pytest.raises(NotFoundError, match="no program"):
        await store.add_revision(uuid4(), b"x", ROOT_UUID, NOW)
    with pytest.raises(NotFoundError, match="no revision 3"):
        await store.sign_revision(await add(store, "p"), 3, ROOT_UUID, NOW)


async def test_making_a_domain_twice_changes_nothing(databases: DatabaseServer) -> None:
    engine = open_engine(await databases.create(), create=True)
    await create_domain(engine, "test", NOW)
    await create_domain(engine, "test", NOW)
    await engine.dispose()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////nowhere/at/all.db",
        "postgresql://user:s3cret@127.0.0.1:1/none",
        "postgresql://user:s3cret@/none?host=/nowhere",
    ],
)
async def test_a_database_that_is_away_is_one_clear_line_without_the_password(url: str) -> None:
    store = DomainStore("test", open_engine(url))
    with pytest.raises(DatabaseError) as caught:
        await store.programs(limit=10)
    await store.close()
    assert str(caught.value).startswith("database of domain test: ")
    assert "\n" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["", "mysql://user:s3cret@x/y", "sqlite://", "sqlite:///:memory:", "postgresql://", "user:s3cret@nonsense"]
)
def test_a_url_of_no_database_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="URL") as caught:
        open_engine(url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3cret/Pw@localhost/db",
        "postgresql://me:12#s3cret@localhost/db",
        "postgresql://me:12?s3cret@localhost/db",
        "postgresql://me:s3cret@localhost:nonsense/db",
    ],
)
def test_a_password_that_is_not_encoded_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read; write") as caught:
        open_engine(url)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://localhost/db",
        "postgresql://me:p%40ss%2Fword@db.example.org:5433/db?sslmode=require",
        "postgres://me@[::1]:5432/db",
        "postgresql://me@one:1,two:2/db",
        "postgresql:///db?host=/run/postgresql",
    ],
)
async def test_urls_in_the_form_of_libpq_are_taken(url: str) -> None:
    await open_engine(url).dispose()


async def test_a_sqlite_file_that_is_removed_is_noticed(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/domain.db", create=True)
    await create_domain(engine, "test", NOW)
    await engine.dispose()
    store = DomainStore("test", open_engine(f"sqlite:///{tmp_path}/domain.db"))
    assert await store.programs(limit=10) == []
    (tmp_path / "domain.db").rename(tmp_path / "elsewhere.db")
    with pytest.raises(DatabaseError, match="no such database file"):
        await store.programs(limit=10)
    (tmp_path / "elsewhere.db").rename(tmp_path / "domain.db")
    assert await store.programs(limit=10) == []
    await store.close()


async def test_a_path_with_special_characters_is_that_file(tmp_path: Path) -> None:
    path = tmp_path / "a#b%41.db"
    engine = open_engine(f"sqlite:///{path}", create=True)
    await create_domain(engine, "test", NOW)
    await engine.dispose()
    assert path.exists()

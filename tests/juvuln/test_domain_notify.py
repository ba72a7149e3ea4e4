"""The trigger by which a PostgreSQL domain tells of its changes."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest
from sqlalchemy import text

from juvuln.async_engine import AsyncEngine
from juvuln.database import DatabaseError, open_engine
from juvuln.domains.create import create_domain
from juvuln.domains.notify import CHANNEL, install, is_installed
from tests.support.databases import DatabaseServer, PostgresServer

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
PROGRAM = (
    "INSERT INTO programs (uuid, name, type, state, schedule, deadline, language, tags)"
    " VALUES (gen_random_uuid(), 'p', 'webhook', 'active', '', 0, 'tengo', '{}')"
)


@pytest.fixture
async def postgres_url(postgres_server: PostgresServer) -> str:
    return await postgres_server.create()


@pytest.fixture
async def postgres_domain(postgres_url: str) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(postgres_url)
    await create_domain(engine, "test", NOW)
    yield engine
    await engine.dispose()


async def test_every_kind_of_change_is_told(postgres_url: str, postgres_domain: AsyncEngine) -> None:
    await install(postgres_domain)
    told: asyncio.Queue[str] = asyncio.Queue()
    listener = await asyncpg.connect(postgres_url)
    await listener.add_listener(CHANNEL, lambda *call: told.put_nowait(call[-1]))
    for statement in (
        PROGRAM,
        "UPDATE programs SET state = 'inactive'",
        "INSERT INTO program_code_revisions (program_uuid, revision, created, created_by, code, checksum)"
        " SELECT uuid, 0, now(), uuid, '', '' FROM programs",
        "UPDATE program_code_revisions SET signed = now()",
        "DELETE FROM program_code_revisions",
        "TRUNCATE programs CASCADE",
    ):
        async with postgres_domain.begin() as connection:
            await connection.execute(text(statement))
        async with asyncio.timeout(10):
            assert await told.get() == "", statement
    await listener.close()


async def test_installing_twice_is_installing_once(postgres_domain: AsyncEngine) -> None:
    async with postgres_domain.begin() as connection:
        assert not await is_installed(connection)
    await install(postgres_domain)
    await install(postgres_domain)
    async with postgres_domain.begin() as connection:
        assert await is_installed(connection)
        await connection.execute(text("ALTER TABLE programs DISABLE TRIGGER USER"))
        assert not await is_installed(connection)


async def test_a_database_that_is_no_domain_has_no_trigger_and_gets_none(databases: DatabaseServer) -> None:
    engine = open_engine(await databases.create(), create=True)
    async with engine.begin() as connection:
        assert not await is_installed(connection)
    with pytest.raises(DatabaseError, match="trigger that tells of changed programs"):
        await install(engine)
    await engine.dispose()

"""A whole installation for each test, on each kind of database."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.databases import DatabaseServer, PostgresServer, SqliteFolder, StoppableServer, running_postgres
from tests.support.installation import Domain, Installation


@pytest.fixture
async def installation(tmp_path: Path, databases: DatabaseServer) -> AsyncIterator[Installation]:
    made = Installation(tmp_path, databases)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def domain(installation: Installation) -> Domain:
    """A domain called `test` in it."""
    return await installation.add_domain("test")


@pytest.fixture
async def managed(installation: Installation) -> Installation:
    """A manager alone with a domain called `test`, where workers do not matter."""
    await installation.add_domain("test")
    await installation.manager().start()
    return installation


@pytest.fixture(scope="session")
def _stoppable_postgres() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


@pytest.fixture
async def own_postgres(_stoppable_postgres: PostgresServer) -> AsyncIterator[PostgresServer]:
    """A PostgreSQL that the test may stop."""
    yield _stoppable_postgres
    await _stoppable_postgres.start()


@pytest.fixture(params=["sqlite", "postgresql"])
def stoppable(request: pytest.FixtureRequest, tmp_path: Path) -> StoppableServer:
    """Databases of each kind that the test may take away for a while."""
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("own_postgres")
        return server
    folder = tmp_path / "domains"
    folder.mkdir()
    return SqliteFolder(folder)


@pytest.fixture
async def recorded_elsewhere(tmp_path: Path, stoppable: StoppableServer) -> AsyncIterator[Installation]:
    """An installation whose domains can be taken away, but not its own record, which is in SQLite."""
    made = Installation(tmp_path, stoppable, record_url=f"sqlite:///{tmp_path}/record.db")
    await made.open()
    yield made
    await made.close()

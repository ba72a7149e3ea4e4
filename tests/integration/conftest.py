"""A whole installation for each test, on each kind of database: its own, or as a guest of one that stands."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.commands import JuvulnCommand
from tests.support.databases import DatabaseServer, PostgresServer, SqliteFolder, StoppableServer, running_postgres
from tests.support.installation import Domain, Installation
from tests.support.standing import Guest, Standing, standing_daemons


@pytest.fixture
async def installation(tmp_path: Path, databases: DatabaseServer) -> AsyncIterator[Installation]:
    made = Installation(tmp_path, databases)
    await made.open()
    yield made
    await made.close()


@pytest.fixture(scope="session")
def _standing_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    folder = tmp_path_factory.mktemp("standing")
    with standing_daemons(folder, SqliteFolder(folder)) as standing:
        yield standing


@pytest.fixture(scope="session")
def _standing_postgresql(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer
) -> Iterator[Standing]:
    with standing_daemons(tmp_path_factory.mktemp("standing"), postgres_server) as standing:
        yield standing


@pytest.fixture
def _standing(request: pytest.FixtureRequest, databases: DatabaseServer) -> Standing:
    standing: Standing = request.getfixturevalue(f"_standing_{databases.kind}")
    return standing


@pytest.fixture
async def guest(_standing: Standing, databases: DatabaseServer) -> AsyncIterator[Guest]:
    """An installation whose daemons run already, for a test that leaves them as they are."""
    made = _standing.guest(databases)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def _used(request: pytest.FixtureRequest) -> Installation:
    used: Installation = request.getfixturevalue("guest" if "guest" in request.fixturenames else "installation")
    return used


@pytest.fixture
async def domain(_used: Installation) -> Domain:
    """A domain called `test`, in the installation that the test uses."""
    return await _used.add_domain("test")


@pytest.fixture
async def managed(installation: Installation) -> Installation:
    """A manager alone with a domain called `test`, where workers do not matter."""
    await installation.add_domain("test")
    await installation.manager().start()
    return installation


@pytest.fixture
async def hosted(guest: Guest, domain: Domain) -> Guest:
    """A guest with a domain called `test`, started."""
    await guest.start()
    return guest


@pytest.fixture
def juvuln(hosted: Guest, tmp_path: Path) -> JuvulnCommand:
    """The command, with daemons to talk to as root of the domain `test`."""
    return JuvulnCommand(tmp_path, hosted.as_root)


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

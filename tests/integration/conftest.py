"""A whole installation for each test, on each kind of database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.databases import DatabaseServer, SqliteFolder
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
async def sqlite_installation(tmp_path: Path) -> AsyncIterator[Installation]:
    """A manager alone with a domain called `test`, where the kind of database and workers do not matter."""
    made = Installation(tmp_path, SqliteFolder(tmp_path))
    await made.open()
    await made.add_domain("test")
    await made.manager().start()
    yield made
    await made.close()

"""Fixtures for all tests: the databases; and how hard the property tests try."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.databases import DatabaseServer, PostgresServer, SqliteFolder


def pytest_configure() -> None:
    """Under `make fuzz` the property tests look at more examples than in `make test`."""
    if chosen := os.environ.get("HYPOTHESIS_MAX_EXAMPLES"):
        settings.register_profile("fuzz", max_examples=int(chosen), deadline=None)
        settings.load_profile("fuzz")


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One PostgreSQL for the whole session; each test makes databases of its own in it."""
    server = PostgresServer(tmp_path_factory.mktemp("postgres"))
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> DatabaseServer:
    """Runs a test on each kind of database."""
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        return server
    return SqliteFolder(tmp_path)

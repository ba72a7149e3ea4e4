"""Fixtures for all tests: the databases; and how hard the property tests try."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.databases import DatabaseServer, PostgresServer, SqliteFolder, running_postgres


def pytest_configure() -> None:
    """In `make test` the property tests look at the same examples each time, under `make fuzz` at more and others.

    SIGTERM ends the tests as Ctrl-C does: the fixtures end what they have started.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings.register_profile("test", derandomize=True)
    settings.load_profile("test")
    if chosen := os.environ.get("HYPOTHESIS_MAX_EXAMPLES"):
        settings.register_profile("fuzz", max_examples=int(chosen), deadline=None)
        settings.load_profile("fuzz")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL for the whole session; each test makes databases of its own in it."""
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> DatabaseServer:
    """Runs a test on each kind of database."""
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        return server
    return SqliteFolder(tmp_path)

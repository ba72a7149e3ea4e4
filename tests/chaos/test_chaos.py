"""A short round of the chaos on each database: everything goes wrong once, and every due time is accounted for."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.faults import POSTGRESQL_ONLY, FaultKind
from tests.chaos.round import run_round


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not one of pytest's: each new session of pytest closes those to the user that PostgreSQL runs as under root."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        yield Path(name)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_every_due_time_ends_in_exactly_one_explained_outcome_whatever_goes_wrong(
    folder: Path, database: str
) -> None:
    done = await run_round(folder, database, seconds=24, seed=8, pause=0.9)
    assert done.verdict.violations == [], done.table()
    assert done.verdict.due_times > 500, done.table()
    possible = set(FaultKind) if database == "postgresql" else set(FaultKind) - POSTGRESQL_ONLY
    assert {fault.kind for fault in done.faults} == possible

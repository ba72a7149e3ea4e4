"""A short round of the chaos on each database: everything goes wrong once, and every due time is accounted for."""

from pathlib import Path

import pytest

from tests.chaos.faults import POSTGRESQL_ONLY, FaultKind
from tests.chaos.round import run_round


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_every_due_time_ends_in_exactly_one_explained_outcome_whatever_goes_wrong(
    tmp_path: Path, database: str
) -> None:
    done = await run_round(tmp_path, database, seconds=24, seed=7, pause=0.9)
    assert done.verdict.violations == [], done.table()
    assert done.verdict.due_times > 500, done.table()
    possible = set(FaultKind) if database == "postgresql" else set(FaultKind) - POSTGRESQL_ONLY
    assert {fault.kind for fault in done.faults} == possible

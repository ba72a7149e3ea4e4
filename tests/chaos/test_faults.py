"""The schedule of faults."""

import pytest

from tests.chaos.faults import POSTGRESQL_ONLY, FaultKind, Plan, fault_schedule
from tests.chaos.perform import PERFORMERS


def plan(database: str, seed: int) -> Plan:
    return Plan(seed, database, begin=5, end=60, pause=1, workers=2)


def test_the_same_seed_gives_the_same_faults_and_another_others() -> None:
    first, again, other = (fault_schedule(plan("sqlite", seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_every_kind_of_fault_comes_and_in_time(database: str) -> None:
    faults = fault_schedule(plan(database, 3))
    possible = set(FaultKind) if database == "postgresql" else set(FaultKind) - POSTGRESQL_ONLY
    assert {fault.kind for fault in faults} == possible
    assert all(5 <= fault.at_seconds < 60 for fault in faults)
    assert [fault.at_seconds for fault in faults] == sorted(fault.at_seconds for fault in faults)


def test_every_kind_of_fault_can_be_performed() -> None:
    assert set(PERFORMERS) == set(FaultKind)

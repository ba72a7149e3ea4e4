"""What is counted of runs, by the record that they are in."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from juvuln.clock import new_run_id
from juvuln.database import DatabaseError
from juvuln.runs.meter import RESULTS, Result
from juvuln.runs.record import RunRecord, open_record
from juvuln.runs.run import Ending, Run, Trigger
from shared.wire import Outcome
from tests.juvuln.support import program
from tests.support.databases import DatabaseServer

NOW_MS = 1_700_000_000_000


def run(number: int, due_ms: int | None = None, trigger: Trigger = Trigger.SCHEDULE) -> Run:
    return Run(new_run_id(NOW_MS, number), program(), trigger, claimed_ms=NOW_MS, due_ms=due_ms)


def missed(number: int, due_ms: int) -> tuple[Run, Ending]:
    return run(number, due_ms), Ending(Outcome.MISSED, ended_ms=NOW_MS)


@pytest.fixture
async def record(databases: DatabaseServer) -> AsyncIterator[RunRecord]:
    async with open_record(await databases.create(), "manager", lambda _: None) as opened:
        writer = asyncio.create_task(opened.write())
        yield opened
        writer.cancel()


def test_every_outcome_means_something_to_who_wanted_the_run() -> None:
    assert set(RESULTS) == set(Outcome)


async def test_a_due_time_counts_once_however_often_it_is_claimed(record: RunRecord) -> None:
    await record.claim([run(1, NOW_MS)], [missed(2, NOW_MS - 1000)])
    await record.claim([run(3, NOW_MS)], [missed(4, NOW_MS - 1000)])
    assert record.meter.due == 2
    assert record.meter.by_outcome() == {(Trigger.SCHEDULE, Outcome.MISSED): 1}


async def test_a_run_counts_with_its_lag_and_how_long_it_took(record: RunRecord) -> None:
    it = run(1, NOW_MS)
    await record.claim([it])
    ending = Ending(Outcome.FAILED, ended_ms=NOW_MS + 900, started_ms=NOW_MS + 30, duration_ms=800.0)
    record.close(it, ending)
    meter = record.meter
    assert meter.by_outcome() == {(Trigger.SCHEDULE, Outcome.FAILED): 1}
    assert meter.started == {Trigger.SCHEDULE: 1}
    assert (meter.lag_seconds.count, meter.lag_seconds.total) == (1, 0.03)
    assert (meter.duration_seconds.count, meter.duration_seconds.total) == (1, 0.8)
    assert meter.by_domain() == {("test", Result.FAILED): 1}
    assert [meter.count(result) for result in Result] == [0, 1, 0]


async def test_of_a_run_that_was_repeated_the_first_start_is_not_known(record: RunRecord) -> None:
    it = run(1, NOW_MS)
    await record.claim([it])
    record.close(it, Ending(Outcome.SUCCEEDED, ended_ms=NOW_MS + 9000, started_ms=NOW_MS + 8000, attempts=2))
    assert record.meter.started == {Trigger.SCHEDULE: 1}
    assert record.meter.lag_seconds.count == 0


async def test_what_no_worker_took_has_no_lag(record: RunRecord) -> None:
    call = run(1, None, Trigger.WEBHOOK)
    await record.claim([call])
    record.close(call, Ending(Outcome.SKIPPED, ended_ms=NOW_MS))
    assert record.meter.due == record.meter.lag_seconds.count == record.meter.started.total() == 0
    assert record.meter.count(Result.NOT_RUN) == 1


async def test_the_writer_counts_what_goes_together_and_what_fails(
    record: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    await record.claim([run(number, NOW_MS + number) for number in range(30)])
    assert (record.writes.rows.total, record.writes.rows.count, record.writes.errors) == (30, 1, 0)
    assert not record.failing

    async def away(_batch: object) -> set[str]:
        raise DatabaseError("record", "is away")

    with monkeypatch.context() as patched:
        patched.setattr(record, "_write_batch", away)
        with pytest.raises(DatabaseError):
            await record.claim([run(100, NOW_MS + 100)])
    assert record.failing
    assert (record.writes.errors, record.meter.due) == (1, 30)

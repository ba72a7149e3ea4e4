"""The record in SQLite together with the file of what is not in its database yet."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from juvuln.clock import new_run_id
from juvuln.database import DatabaseError, RefusedError
from juvuln.runs.batch import Batch
from juvuln.runs.record import RunRecord, open_record
from juvuln.runs.run import Ending, Run, Trigger
from shared.wire import Outcome
from tests.juvuln.support import program
from tests.support.waiting import until

NOW_MS = 1_700_000_000_000
SUCCEEDED = Ending(Outcome.SUCCEEDED, ended_ms=NOW_MS + 5)
LEFT = Ending(Outcome.LOST, ended_ms=NOW_MS + 9, reason="the manager ended before the worker answered")


def call(number: int) -> Run:
    return Run(new_run_id(NOW_MS + number, number), program(), Trigger.WEBHOOK, claimed_ms=NOW_MS)


def routine(number: int) -> Run:
    due_ms = NOW_MS + number * 1000
    return Run(new_run_id(NOW_MS + number, number), program(), Trigger.SCHEDULE, claimed_ms=NOW_MS, due_ms=due_ms)


@asynccontextmanager
async def life(folder: Path, name: str = "manager") -> AsyncIterator[RunRecord]:
    """Of a manager, which is gone at its end without another word."""
    async with open_record(f"sqlite:///{folder}/record.db", name, lambda _: None) as record:
        writer = asyncio.create_task(record.write())
        try:
            await record.take_pending(NOW_MS + 9)
            await record.managers.begin(NOW_MS + 9)
            yield record
        finally:
            writer.cancel()


@pytest.fixture
async def record(tmp_path: Path) -> AsyncIterator[RunRecord]:
    async with life(tmp_path) as opened:
        yield opened


def pending_bytes(folder: Path) -> int:
    return (folder / "record.db-pending").stat().st_size


async def endings(record: RunRecord) -> dict[str, Ending | None]:
    return {run.id: run.ending for run in await record.history("test", limit=10_000)}


async def test_a_call_is_on_record_for_whoever_reads_at_once(record: RunRecord) -> None:
    one, two = call(1), call(2)
    await record.claim_call(one)
    assert await endings(record) == {one.id: None}
    await record.claim_call(two)
    record.close(one, SUCCEEDED)
    assert await endings(record) == {one.id: SUCCEEDED, two.id: None}
    record.close(two, SUCCEEDED)
    assert await endings(record) == {one.id: SUCCEEDED, two.id: SUCCEEDED}


async def test_what_is_pending_comes_into_the_database_by_itself_and_the_file_is_empty(
    record: RunRecord, tmp_path: Path
) -> None:
    calls = [call(number) for number in range(20)]
    for each in calls:
        await record.claim_call(each)
        record.close(each, SUCCEEDED)
    assert pending_bytes(tmp_path) > 0
    async with asyncio.timeout(10):
        await record._idle.wait()
    assert record.waiting == 0
    assert pending_bytes(tmp_path) == 0
    assert record.writes.rows.total == 20  # each once, as they had ended


async def test_what_a_manager_that_was_killed_had_not_in_its_database_is_there_after_the_next_start(
    tmp_path: Path,
) -> None:
    ended, still_open = call(1), call(2)
    async with life(tmp_path) as record:
        await record.claim_call(ended)
        await record.claim_call(still_open)
        record.close(ended, SUCCEEDED)
        await asyncio.sleep(0)
    async with life(tmp_path) as record:
        assert pending_bytes(tmp_path) == 0
        found = await endings(record)
    assert found[ended.id] == SUCCEEDED
    assert found == {ended.id: SUCCEEDED, still_open.id: LEFT}


async def test_an_ending_that_was_not_in_the_database_when_the_manager_was_killed_counts_for_a_routine_too(
    tmp_path: Path,
) -> None:
    it = routine(1)
    async with life(tmp_path) as record:
        assert await record.claim([it]) == {it.id}
        record.close(it, SUCCEEDED)
        await asyncio.sleep(0)
    async with life(tmp_path) as record:
        assert await endings(record) == {it.id: SUCCEEDED}


async def test_what_is_brought_there_twice_is_there_once(tmp_path: Path) -> None:
    it, other = call(1), call(2)
    async with life(tmp_path) as record:
        await record.claim_call(it)
        await record.claim_call(other)
        record.close(it, SUCCEEDED)
        await asyncio.sleep(0)
        rows = (tmp_path / "record.db-pending").read_bytes()
        await record.flush()
    (tmp_path / "record.db-pending").write_bytes(rows)
    async with life(tmp_path) as record:
        found = await endings(record)
    assert found == {it.id: SUCCEEDED, other.id: LEFT}


async def test_while_the_database_cannot_be_written_no_call_is_taken_and_afterwards_all_is_there(
    record: RunRecord, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write, taken = record._write_batch, call(1)

    async def fail(_batch: Batch) -> set[str]:
        raise DatabaseError("record of runs", "database is locked")

    monkeypatch.setattr(record, "_write_batch", fail)
    await record.claim_call(taken)

    async def failing() -> bool:
        return record.failing

    await until(failing, "it was tried to write the call into the database")
    with pytest.raises(DatabaseError):
        await record.claim_call(call(2))
    record.close(taken, SUCCEEDED)
    monkeypatch.setattr(record, "_write_batch", write)
    async with asyncio.timeout(10):
        await record.flush()
    assert await endings(record) == {taken.id: SUCCEEDED}
    assert pending_bytes(tmp_path) == 0


async def test_a_file_that_is_full_or_cannot_be_written_is_done_without(
    record: RunRecord, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = [call(number) for number in range(8)]
    monkeypatch.setattr("juvuln.runs.pending.ROOM_BYTES", 1000)
    for each in calls[:4]:
        await record.claim_call(each)
        record.close(each, SUCCEEDED)
        await asyncio.sleep(0)
    monkeypatch.setattr("juvuln.runs.pending.PendingRows.write", lambda _: False)
    for each in calls[4:]:
        await record.claim_call(each)
        record.close(each, SUCCEEDED)
    assert await endings(record) == {each.id: SUCCEEDED for each in calls}
    await record.flush()
    assert pending_bytes(tmp_path) == 0


async def test_a_call_that_the_database_refuses_ends_on_record_all_the_same(
    record: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, bad, good = record._write_batch, call(1), call(2)

    async def refuse_open_ones(batch: Batch) -> set[str]:
        if any(row.id == bad.id for row in batch.owed):
            raise RefusedError("record of runs", "no such value")
        return await write(batch)

    monkeypatch.setattr(record, "_write_batch", refuse_open_ones)
    await record.claim_call(bad)
    await record.claim_call(good)
    assert await endings(record) == {good.id: None}
    record.close(bad, SUCCEEDED)
    record.close(good, SUCCEEDED)
    assert await endings(record) == {bad.id: SUCCEEDED, good.id: SUCCEEDED}


async def test_a_reader_has_what_is_pending_written_once_for_many_readers(record: RunRecord) -> None:
    calls = [call(number) for number in range(50)]
    for each in calls:
        await record.claim_call(each)
    before = record.writes.rows.count
    await asyncio.gather(*[record.get("test", each.id) for each in calls])
    assert record.writes.rows.count == before + 1


async def test_a_neighbour_takes_the_file_over_when_its_owner_is_gone(tmp_path: Path) -> None:
    ended, still_open, later = call(1), call(2), call(3)
    async with life(tmp_path, "one") as one, life(tmp_path, "two") as two:
        assert two._pending is None
        await two.claim_call(later)  # goes without
        two.close(later, SUCCEEDED)
        await one.claim_call(ended)
        await one.claim_call(still_open)
        one.close(ended, SUCCEEDED)
        await asyncio.sleep(0)
        one.leave_pending()
        assert await two.take_pending(NOW_MS + 9) == 1
        assert await endings(two) == {ended.id: SUCCEEDED, still_open.id: LEFT, later.id: SUCCEEDED}
        assert two.meter.left_open == 1


async def test_a_start_waits_a_moment_for_the_file_of_one_that_ends(tmp_path: Path) -> None:
    async with life(tmp_path) as one:
        asyncio.get_running_loop().call_later(0.3, one.leave_pending)
        async with open_record(f"sqlite:///{tmp_path}/record.db", "manager", lambda _: None) as two:
            writer = asyncio.create_task(two.write())
            await two.take_pending(NOW_MS + 9, patience_seconds=30)
            assert two._pending is not None
            writer.cancel()


async def test_what_a_neighbour_left_stays_in_the_file_until_it_is_in_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = call(1)
    async with life(tmp_path, "one") as one, life(tmp_path, "two") as two:
        write, goes_on = two._write_batch, asyncio.Event()
        sizes = []

        async def wait(batch: Batch) -> set[str]:
            sizes.append(pending_bytes(tmp_path))
            await goes_on.wait()
            return await write(batch)

        monkeypatch.setattr(two, "_write_batch", wait)
        claim = asyncio.create_task(two.claim([routine(3)]))
        await asyncio.sleep(0.01)  # its transaction is under way
        await one.claim_call(it)
        one.leave_pending()
        take = asyncio.create_task(two.take_pending(NOW_MS + 9))
        await asyncio.sleep(0.01)
        goes_on.set()
        await asyncio.gather(claim, take)
        assert sizes[0] == 0
        assert sizes[1] > 0
        await two.flush()
        assert pending_bytes(tmp_path) == 0
        assert (await endings(two))[it.id] == LEFT

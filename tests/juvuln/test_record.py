"""The record of runs, on both databases."""

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, inspect, text

from juvuln.clock import new_run_id
from juvuln.database import DatabaseError, RefusedError, open_engine, transaction
from juvuln.programs import Changes, ProgramKey
from juvuln.runs import retention
from juvuln.runs.batch import Batch
from juvuln.runs.migrate import _upgrade
from juvuln.runs.record import RunRecord, open_record
from juvuln.runs.run import Ending, Run, Trigger
from juvuln.runs.tables import runs
from shared.errors import StartError
from shared.wire import ErrorKind, LogLine, ModuleUse, Outcome, ProgramError, ProgramType
from tests.juvuln.support import UUID_1, UUID_2, program
from tests.support.databases import DatabaseServer
from tests.support.waiting import until

NOW_MS = 1_700_000_000_000


def run(number: int, due_ms: int | None = None, trigger: Trigger = Trigger.SCHEDULE) -> Run:
    return Run(new_run_id(NOW_MS + number, number), program(), trigger, claimed_ms=NOW_MS, due_ms=due_ms)


@pytest.fixture
async def record_url(databases: DatabaseServer) -> str:
    return await databases.create()


@pytest.fixture
async def record(record_url: str) -> AsyncIterator[RunRecord]:
    async with open_record(record_url, "manager", lambda _: None) as opened:
        writer = asyncio.create_task(opened.write())
        yield opened
        writer.cancel()


async def test_a_due_time_is_claimed_once_whoever_asks(record: RunRecord) -> None:
    first, again, other = run(1, NOW_MS), run(2, NOW_MS), run(3, NOW_MS + 1000)
    assert await record.claim([first]) == {first.id}
    assert await record.claim([again, other]) == {other.id}


async def test_of_many_simultaneous_claims_of_one_due_time_one_wins(record: RunRecord) -> None:
    attempts = [run(number, NOW_MS) for number in range(50)]
    answers = await asyncio.gather(*[record.claim([attempt]) for attempt in attempts])
    assert sum(len(answer) for answer in answers) == 1


async def test_calls_of_a_webhook_are_not_held_apart_by_a_due_time(record: RunRecord) -> None:
    calls = [run(number, None, Trigger.WEBHOOK) for number in range(3)]
    assert await record.claim(calls) == {call.id for call in calls}


async def test_everything_that_is_known_of_an_ending_comes_back(record: RunRecord) -> None:
    ending = Ending(
        outcome=Outcome.FAILED,
        ended_ms=NOW_MS + 20,
        reason="because",
        started_ms=NOW_MS + 5,
        duration_ms=12.5,
        worker="127.0.0.1:8096",
        error=ProgramError(kind=ErrorKind.RUNTIME, message="NUL \0 and 😀", stack=["a:1:2"]),
        log=[LogLine(at_ms=NOW_MS, level="error", message="NUL \0 here")],
        modules=[ModuleUse(name="mod@1", revision=1, etag="x")],
        request_bytes=3,
        answer_bytes=4,
    )
    it = run(1, NOW_MS)
    await record.claim([it])
    record.close(it, ending)
    await record.flush()
    recorded = await record.get("test", it.id)
    assert recorded is not None
    assert recorded.ending == ending
    assert recorded.program_uuid == str(UUID_1)


async def test_one_record_says_for_which_due_times_it_stands(record: RunRecord) -> None:
    it = run(1, NOW_MS)._replace(first_due_ms=NOW_MS - 5000)
    await record.claim([], [(it, Ending(Outcome.MISSED, ended_ms=NOW_MS))])
    recorded = await record.get("test", it.id)
    assert recorded is not None
    assert (recorded.first_due_ms, recorded.due_ms) == (NOW_MS - 5000, NOW_MS)


async def test_a_run_that_was_closed_is_never_read_as_open(record: RunRecord) -> None:
    for number in range(20):
        it = run(number, NOW_MS + number)
        await record.claim([it])
        record.close(it, Ending(Outcome.SUCCEEDED, NOW_MS + number))
        recorded = await record.get("test", it.id)
        assert recorded is not None
        assert recorded.ending is not None
        newest = await record.history("test", outcomes=[Outcome.SUCCEEDED], limit=1)
        assert [each.id for each in newest] == [it.id]


@pytest.mark.parametrize("count", [1, 3, 255, 257, 700])
async def test_however_many_go_on_record_together_each_is_there_once_with_its_own_ending(
    record: RunRecord, count: int
) -> None:
    known, new = [run(number, NOW_MS + number * 1000) for number in range(count)], run(count, NOW_MS - 1000)
    again = [run(1000 + number, each.due_ms) for number, each in enumerate(known)]
    skipped = run(2000, NOW_MS - 2000), Ending(Outcome.SKIPPED, ended_ms=NOW_MS, reason="paused")
    assert await record.claim(known) == {each.id for each in known}
    assert await record.claim([*again, new], [skipped]) == {new.id, skipped[0].id}
    for number, each in enumerate(known):
        record.close(each, Ending(Outcome.SUCCEEDED, ended_ms=NOW_MS + number, worker=f"w{number}"))
    recorded = {each.id: each.ending for each in await record.history("test", limit=10_000)}
    assert recorded == {
        new.id: None,
        skipped[0].id: skipped[1],
        **{each.id: Ending(Outcome.SUCCEEDED, NOW_MS + n, worker=f"w{n}") for n, each in enumerate(known)},
    }


async def test_the_first_ending_of_a_run_counts(record: RunRecord) -> None:
    it = run(1, NOW_MS)
    await record.claim([it])
    record.close(it, Ending(outcome=Outcome.LOST, ended_ms=NOW_MS))
    record.close(it, Ending(outcome=Outcome.SUCCEEDED, ended_ms=NOW_MS))
    await record.flush()
    recorded = await record.get("test", it.id)
    assert recorded is not None
    assert recorded.ending is not None
    assert recorded.ending.outcome is Outcome.LOST


async def test_history_is_newest_first_and_pages_do_not_overlap(record: RunRecord) -> None:
    runs = [run(number, NOW_MS + number) for number in range(5)]
    await record.claim(runs)
    first = await record.history("test", limit=2)
    second = await record.history("test", limit=2, before=first[-1].id)
    assert [each.id for each in (*first, *second)] == [each.id for each in reversed(runs[1:])]
    assert await record.history("test", program=UUID_2, limit=10) == []
    assert await record.history("other", limit=10) == []


async def test_what_an_earlier_life_left_open_is_closed_as_lost_and_only_that(record_url: str) -> None:
    for manager in ("one", "two"):
        async with open_record(record_url, manager, lambda _: None) as record:
            writer = asyncio.create_task(record.write())
            await record.claim([run(1 if manager == "one" else 2, NOW_MS + (manager == "two"))])
            writer.cancel()
    async with open_record(record_url, "one", lambda _: None) as record:
        assert await record.managers.begin(NOW_MS + 99) == 1
        newer, older = await record.history("test", limit=10)
        assert newer.ending is None
        assert older.ending is not None
        assert older.ending.outcome is Outcome.LOST


async def test_a_routine_goes_on_from_when_it_was_first_followed_or_from_its_last_due_time(record: RunRecord) -> None:
    found = [program(UUID_1), program(UUID_2), program(UUID(int=3), type=ProgramType.WEBHOOK)]
    assert await record.follow_all("test", found, NOW_MS) == {}
    await record.claim([run(1, NOW_MS + 1), run(2, NOW_MS + 5000), run(3, None, Trigger.WEBHOOK)])
    assert await record.follow_all("test", found, NOW_MS + 9000) == {UUID_1: NOW_MS + 5000, UUID_2: NOW_MS}
    assert await record.follow_all("other", [], NOW_MS) == {}


async def test_a_schedule_is_followed_from_when_it_was_changed(record: RunRecord) -> None:
    one, two = program(UUID_1), program(UUID_2)
    await record.follow_all("test", [one, two], NOW_MS)
    one, two = replace(one, schedule="@hourly"), replace(two, revision=5)
    await record.follow("test", Changes(changed=(one, two)), NOW_MS + 1234)
    # Whole seconds: the milliseconds of due times have a meaning of their own.
    assert await record.follow_all("test", [one, two], NOW_MS + 2000) == {UUID_1: NOW_MS + 1000, UUID_2: NOW_MS}
    assert await record.follow_all("test", [replace(one, schedule="@daily")], NOW_MS + 3000) == {}


async def test_a_routine_that_was_away_is_not_looked_for_from_before_it_came_back(record: RunRecord) -> None:
    one, two, three = (program(UUID(int=number)) for number in (1, 2, 3))
    await record.follow_all("test", [one, two, three], NOW_MS)
    await record.follow("test", Changes(removed=(one,)), NOW_MS + 1)
    await record.follow("test", Changes(changed=(replace(two, type=ProgramType.MODULE),)), NOW_MS + 1)
    assert await record.follow_all("test", [one, two], NOW_MS + 2) == {}
    assert await record.follow_all("test", [three], NOW_MS + 3) == {}


async def test_what_is_pruned_is_not_looked_for_again(record: RunRecord) -> None:
    await record.follow_all("test", [program(UUID_1)], NOW_MS)
    await record.prune(NOW_MS + 1000, 100)
    assert await record.follow_all("test", [program(UUID_1)], NOW_MS + 2000) == {UUID_1: NOW_MS + 1000}


async def test_pruning_takes_old_runs_and_leaves_open_ones(record: RunRecord) -> None:
    old, young, still_open = run(1, NOW_MS), run(2, NOW_MS + 1), run(3, NOW_MS + 2)
    await record.claim([old, young, still_open])
    record.close(old, Ending(outcome=Outcome.SUCCEEDED, ended_ms=NOW_MS))
    record.close(young, Ending(outcome=Outcome.SUCCEEDED, ended_ms=NOW_MS + 1000))
    await record.flush()
    assert await record.prune(NOW_MS + 500, 100) == 1
    assert {each.id for each in await record.history("test", limit=10)} == {young.id, still_open.id}


async def test_the_last_due_time_of_a_routine_stays_however_old_it_is(record: RunRecord) -> None:
    routine, call = run(1, NOW_MS), run(2, None, Trigger.WEBHOOK)
    await record.claim([], [(each, Ending(Outcome.SUCCEEDED, ended_ms=NOW_MS)) for each in (routine, call)])
    assert await record.prune(NOW_MS + 500, 1) == 1
    assert [each.id for each in await record.history("test", limit=10)] == [routine.id]


async def test_of_each_program_only_the_newest_runs_stay_and_those_that_are_open(
    record: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("juvuln.runs.retention.ROWS_AT_ONCE", 2)
    still_open, calls = run(1, NOW_MS), [run(number, None, Trigger.WEBHOOK) for number in range(2, 12)]
    others = [run(20 + number)._replace(program=program(UUID_2)) for number in range(2)]
    ended = [(each, Ending(Outcome.SUCCEEDED, ended_ms=NOW_MS)) for each in (*calls, *others)]
    await record.claim([still_open], ended)
    assert await record.prune(0, 3) == 7
    assert await record.prune(0, 3) == 0
    left = {each.id for each in await record.history("test", limit=100)}
    assert left == {each.id for each in (still_open, *calls[-3:], *others)}


async def test_two_managers_may_prune_their_record_at_the_same_time(
    record: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = [program(UUID_1), program(UUID_2)]
    calls = [run(number, None, Trigger.WEBHOOK)._replace(program=programs[number % 2]) for number in range(10)]
    await record.claim([], [(call, Ending(Outcome.SUCCEEDED, ended_ms=NOW_MS)) for call in calls])
    delete_slices = retention._delete_slices
    others: list[int] = []

    async def delete_after_another(*of_whom: Any) -> int:
        if not others:
            # Both programs were found to have too many runs; now the other manager deletes all of them.
            others.append(await delete_slices(of_whom[0], runs.c.ended_ms <= NOW_MS, (runs.c.ended_ms, runs.c.id)))
        return await delete_slices(*of_whom)

    monkeypatch.setattr(retention, "_delete_slices", delete_after_another)
    assert (await retention.prune_many(record._engine, 3), others) == (0, [10])


async def test_pruning_slice_by_slice_finds_every_old_run_between_those_that_stay(
    record: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("juvuln.runs.retention.ROWS_AT_ONCE", 3)
    # Last due times, open runs and young ones between old ones, many of which ended in the same millisecond.
    last_due = [run(100 + number, NOW_MS)._replace(program=program(UUID(int=number))) for number in range(7)]
    old = [run(number, None, Trigger.WEBHOOK) for number in range(200, 220)]
    young = [run(number, None, Trigger.WEBHOOK) for number in range(300, 303)]
    still_open = [run(number, None, Trigger.WEBHOOK) for number in range(250, 255)]
    ended = [(each, Ending(Outcome.SUCCEEDED, NOW_MS + number // 10)) for number, each in enumerate([*last_due, *old])]
    ended += [(each, Ending(Outcome.SUCCEEDED, NOW_MS + 1000)) for each in young]
    await record.claim(still_open, ended)
    assert await record.prune(NOW_MS + 500, 100) == len(old)
    left = {each.id for each in await record.history("test", limit=100)}
    assert left == {each.id for each in (*last_due, *young, *still_open)}


async def test_a_database_of_an_earlier_version_is_opened_again_without_loss(record_url: str) -> None:
    for number in (1, 2):
        async with open_record(record_url, "manager", lambda _: None) as record:
            writer = asyncio.create_task(record.write())
            await record.claim([run(number, NOW_MS + number)])
            assert len(await record.history("test", limit=10)) == number
            writer.cancel()


async def test_a_record_of_the_first_version_is_brought_to_the_present_form_with_its_runs(record_url: str) -> None:
    engine = open_engine(record_url, create=True)
    async with transaction(engine, "record") as connection:
        await connection.run_sync(_upgrade, "0001")
        await connection.execute(
            text(
                "INSERT INTO runs (id, domain, program_uuid, program_name, trigger, revision, deadline_ms, manager,"
                " claimed_ms, ended_ms, outcome, answer_bytes)"
                " VALUES (:id, 'test', :uuid, 'beat', 'webhook', 3, 1000, 'manager', 1, 2, 'succeeded', 7)"
            ),
            {"id": new_run_id(NOW_MS, 1), "uuid": str(UUID_1)},
        )
    await engine.dispose()
    async with open_record(record_url, "manager", lambda _: None) as record:
        (old,) = await record.history("test", program=UUID_1, outcomes=[Outcome.SUCCEEDED], limit=10)
        assert old.ending == Ending(Outcome.SUCCEEDED, ended_ms=2, answer_bytes=7)
        async with transaction(record._engine, "record") as connection:
            indexes = await connection.run_sync(lambda sync: inspect(sync).get_indexes("runs"))
    assert {index["name"] for index in indexes} >= {index.name for index in runs.indexes}


async def form_of(url: str) -> dict[str, Any]:
    """Of each table: columns, indexes, and what must be unique. A migration adds columns at the end, so in no order."""

    def read(sync: Connection) -> dict[str, Any]:
        found = inspect(sync)
        return {
            table: {
                "columns": {
                    each["name"]: (str(each["type"]), each["nullable"], each["default"])
                    for each in found.get_columns(table)
                },
                "key": found.get_pk_constraint(table)["constrained_columns"],
                "indexes": {
                    each["name"]: (
                        each["column_names"],
                        each["unique"],
                        {option: str(value) for option, value in each.get("dialect_options", {}).items()},
                    )
                    for each in found.get_indexes(table)
                },
                "unique": found.get_unique_constraints(table),
            }
            for table in found.get_table_names()
        }

    engine = open_engine(url, create=True)
    async with transaction(engine, "record") as connection:
        form = await connection.run_sync(read)
    await engine.dispose()
    return form


async def test_a_new_record_has_the_form_that_the_migrations_lead_to(databases: DatabaseServer) -> None:
    made, migrated = await databases.create(), await databases.create()
    async with open_record(made, "manager", lambda _: None):
        pass
    engine = open_engine(migrated, create=True)
    async with transaction(engine, "record") as connection:
        await connection.run_sync(_upgrade)
    await engine.dispose()
    assert await form_of(made) == await form_of(migrated)
    async with open_record(migrated, "manager", lambda _: None):
        pass  # and no migration is missing


async def test_a_new_record_is_made_as_a_whole_or_not_at_all(record_url: str) -> None:
    engine = open_engine(record_url, create=True)
    async with transaction(engine, "record") as connection:
        await connection.execute(text("CREATE TABLE paused_domains (of_somebody_else INTEGER)"))
    with pytest.raises(DatabaseError, match="paused_domains"):
        async with open_record(record_url, "manager", lambda _: None):
            pass
    assert list(await form_of(record_url)) == ["paused_domains"]
    async with transaction(engine, "record") as connection:
        await connection.execute(text("DROP TABLE paused_domains"))
    await engine.dispose()
    async with open_record(record_url, "manager", lambda _: None) as record:
        assert await record.history("test", limit=10) == []


async def test_a_record_is_migrated_as_a_whole_or_not_at_all(record_url: str) -> None:
    engine = open_engine(record_url, create=True)
    async with transaction(engine, "record") as connection:
        await connection.run_sync(_upgrade, "0006")
    before = await form_of(record_url)
    async with transaction(engine, "record") as connection:
        await connection.execute(text("CREATE INDEX ix_runs_program_failed ON runs (id)"))
    with pytest.raises(DatabaseError, match="ix_runs_program_failed"):
        async with open_record(record_url, "manager", lambda _: None):
            pass
    async with transaction(engine, "record") as connection:
        await connection.execute(text("DROP INDEX ix_runs_program_failed"))
    await engine.dispose()
    assert await form_of(record_url) == before
    async with open_record(record_url, "manager", lambda _: None) as record:
        assert await record.history("test", limit=10) == []


async def test_history_is_of_the_outcomes_that_are_asked_for(record: RunRecord) -> None:
    endings = [Outcome.SUCCEEDED, Outcome.FAILED, None, Outcome.TIMED_OUT]
    claimed = [run(number, NOW_MS + number) for number in range(len(endings))]
    await record.claim(claimed)
    for each, outcome in zip(claimed, endings, strict=True):
        if outcome is not None:
            record.close(each, Ending(outcome, ended_ms=NOW_MS))
    await record.flush()

    async def numbers(*outcomes: Outcome | None) -> list[int]:
        found = await record.history("test", program=UUID_1, outcomes=outcomes, limit=10)
        return [[each.id for each in claimed].index(one.id) for one in found]

    assert await numbers() == [3, 2, 1, 0]
    assert await numbers(Outcome.SUCCEEDED) == [0]
    assert await numbers(None) == [2]
    assert await numbers(None, Outcome.FAILED) == [2, 1]
    assert await numbers(Outcome.LOST) == []


async def test_however_many_programs_are_looked_up_none_waits_for_a_connection(
    record_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("juvuln.database.CONNECT_TIMEOUT_SECONDS", 0.001)  # for one from the pool
    async with open_record(record_url, "manager", lambda _: None) as record:
        lookups = [record.past(program(UUID(int=number)), [Outcome.FAILED], 1) for number in range(100)]
        assert await asyncio.gather(*lookups) == [[]] * 100


async def test_a_claim_that_cannot_be_written_raises_and_an_ending_is_kept_for_later(
    record: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = run(1, NOW_MS)
    await record.claim([it])
    problems: list[str | None] = []
    monkeypatch.setattr(record, "_report_problem", problems.append)
    write = record._write_batch

    async def fail(*_: object) -> set[str]:
        raise DatabaseError("record of runs", "database or disk is full")

    monkeypatch.setattr(record, "_write_batch", fail)
    record.close(it, Ending(outcome=Outcome.SUCCEEDED, ended_ms=NOW_MS))
    with pytest.raises(DatabaseError, match="disk is full"):
        await record.claim([run(2, NOW_MS + 1)])
    monkeypatch.setattr(record, "_write_batch", write)
    async with asyncio.timeout(10):
        await record.flush()
    recorded = await record.get("test", it.id)
    assert recorded is not None
    assert recorded.ending is not None
    assert problems[0] == "cannot be written: database or disk is full"
    assert problems[-1] is None


REFUSE = {
    "sqlite": (
        "CREATE TRIGGER refuse BEFORE UPDATE ON runs WHEN NEW.worker = 'odd' BEGIN SELECT RAISE(ABORT, 'odd'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'odd'; END $$",
        "CREATE TRIGGER refuse BEFORE UPDATE ON runs FOR EACH ROW WHEN (NEW.worker = 'odd') EXECUTE FUNCTION refuse()",
    ),
}
"""Has the database refuse an ending that names a worker 'odd'."""


async def refuse_odd_workers(record: RunRecord) -> None:
    async with transaction(record._engine, "record") as connection:
        for statement in REFUSE[connection.dialect.name]:
            await connection.execute(text(statement))


async def test_an_ending_that_the_database_refuses_is_written_without_its_details_and_keeps_no_other(
    record: RunRecord,
) -> None:
    await refuse_odd_workers(record)
    claimed = [run(number, NOW_MS + number) for number in range(10)]
    await record.claim(claimed)
    for number, each in enumerate(claimed):
        worker, line = "odd" if number in {3, 7} else "even", LogLine(at_ms=NOW_MS, level="info", message="hello")
        record.close(each, Ending(Outcome.FAILED, ended_ms=NOW_MS + number, worker=worker, log=[line]))
    later = run(10, NOW_MS + 10)
    async with asyncio.timeout(10):
        assert await record.claim([later]) == {later.id}
        await record.flush()
    found = {each.id: each.ending for each in await record.history("test", limit=20)}
    assert found.pop(later.id) is None
    endings = [found[each.id] for each in claimed]
    assert [ending and (ending.outcome, ending.ended_ms - NOW_MS) for ending in endings] == [
        (Outcome.FAILED, number) for number in range(10)
    ]
    without = [number for number, ending in enumerate(endings) if ending and not ending.log]
    assert without == [3, 7]
    assert endings[3] == Ending(Outcome.FAILED, NOW_MS + 3, "its details could not be written: odd")
    assert not record.failing


async def test_much_that_was_logged_is_written_in_several_transactions(
    record: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: list[list[str]] = []
    write = record._write_batch

    async def note(part: Batch) -> set[str]:
        parts.append([row.id for row in part.endings])
        return await write(part)

    claimed = [run(number, NOW_MS + number) for number in range(6)]
    await record.claim(claimed)
    monkeypatch.setattr(record, "_write_batch", note)
    monkeypatch.setattr("juvuln.runs.writer.ROOM_BYTES", 3000)
    for each, length in zip(claimed, [1000, 1000, 5000, 1000, 1000, 0], strict=True):
        line = LogLine(at_ms=NOW_MS, level="info", message="x" * length)
        record.close(each, Ending(Outcome.SUCCEEDED, ended_ms=NOW_MS, log=[line]))
    found = await record.history("test", limit=10)
    assert [each.ending and len(each.ending.log[0].message) for each in found] == [0, 1000, 1000, 5000, 1000, 1000]
    ids = [each.id for each in claimed]
    assert parts == [ids[:2], ids[2:3], ids[3:]]


async def test_a_claim_that_the_database_refuses_fails_by_itself(record: RunRecord) -> None:
    good = [run(1, NOW_MS + 1), run(3, NOW_MS + 3)]
    bad = run(2)._replace(program=replace(program(), key=ProgramKey("\ud800", UUID_1)))
    first, refused, last = await asyncio.gather(
        record.claim([good[0]]), record.claim([bad]), record.claim([good[1]]), return_exceptions=True
    )
    assert (first, last) == ({good[0].id}, {good[1].id})
    assert isinstance(refused, RefusedError)


@pytest.mark.parametrize("number", [{"answer_bytes": 2**40}, {"duration_ms": math.inf}, {"duration_ms": math.nan}])
async def test_a_number_that_the_database_has_no_room_for_leaves_no_run_open(
    record: RunRecord, number: dict[str, Any]
) -> None:
    it = run(1, NOW_MS)
    await record.claim([it])
    record.close(it, Ending(Outcome.SUCCEEDED, NOW_MS, **number))
    async with asyncio.timeout(10):
        recorded = await record.get("test", it.id)
    assert recorded is not None
    assert recorded.ending is not None
    assert recorded.ending.outcome is Outcome.SUCCEEDED


async def test_after_a_failure_the_record_says_by_itself_that_it_is_well_again(
    record_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems: list[str | None] = []
    async with open_record(record_url, "manager", problems.append) as record:
        writer = asyncio.create_task(record.write())
        write = record._write_batch

        async def fail(_batch: object) -> set[str]:
            raise DatabaseError("record of runs", "database is locked")

        monkeypatch.setattr(record, "_write_batch", fail)
        with pytest.raises(DatabaseError):
            await record.claim([run(1, NOW_MS)])
        monkeypatch.setattr(record, "_write_batch", write)

        async def well() -> bool:
            return problems[-1] is None

        await until(well, "the problem is gone though nobody wrote")
        writer.cancel()


async def test_a_claim_whose_commit_is_in_doubt_does_not_stay_open(
    record: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = record._write_batch

    async def lose_the_answer(batch: Batch) -> set[str]:
        await write(batch)
        batch.come_into_doubt()
        raise DatabaseError("record of runs", "the connection broke")

    it = run(1, NOW_MS)
    monkeypatch.setattr(record, "_write_batch", lose_the_answer)
    with pytest.raises(DatabaseError):
        await record.claim([it])
    monkeypatch.setattr(record, "_write_batch", write)
    async with asyncio.timeout(10):
        await record.flush()
    recorded = await record.get("test", it.id)
    assert recorded is not None
    assert recorded.ending is not None
    assert recorded.ending.outcome is Outcome.LOST
    assert "not started" in (recorded.ending.reason or "")


async def test_a_record_of_a_later_version_is_refused(record_url: str) -> None:
    async with (
        open_record(record_url, "manager", lambda _: None) as record,
        transaction(record._engine, "record") as connection,
    ):
        await connection.execute(text("UPDATE juvuln_version SET version_num = '9999'"))
    with pytest.raises(StartError, match="later version"):
        async with open_record(record_url, "manager", lambda _: None):
            pass


async def test_runs_that_end_without_a_start_are_recorded_in_the_same_breath(record: RunRecord) -> None:
    started, skipped = run(1, NOW_MS), run(2, NOW_MS + 1)
    ending = Ending(outcome=Outcome.SKIPPED, ended_ms=NOW_MS, reason="still running")
    assert await record.claim([started], [(skipped, ending)]) == {started.id, skipped.id}
    newer, older = await record.history("test", limit=10)
    assert newer.ending == ending
    assert older.ending is None

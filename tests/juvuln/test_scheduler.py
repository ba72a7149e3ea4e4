"""The scheduler on a real record, with a clock that the test sets."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path
from uuid import UUID

import pytest

from juvuln.clock import Clock
from juvuln.database import DatabaseError
from juvuln.dispatch import Dispatcher
from juvuln.due import LONGEST_SETBACK_MS
from juvuln.failures import Failures
from juvuln.live import LiveRuns
from juvuln.policy import Missed, Policy
from juvuln.programs import Changes
from juvuln.routine import Planning
from juvuln.routine_runs import RoutineRuns, Runs
from juvuln.runner import Runner
from juvuln.runs.batch import Batch
from juvuln.runs.record import RunRecord, open_record
from juvuln.runs.run import Ending, RecordedRun, Run
from juvuln.scheduler import LONGEST_UNRECORDED_PAUSE_MS, Scheduler
from juvuln.workers import Worker, WorkerRegistry
from shared.wire import Outcome
from tests.juvuln.support import UUID_1, program
from tests.support.waiting import until
from tests.support.worker_client import worker_client

T0_MS = 1_700_000_000_000  # a multiple of 5 s, as the routine's schedule has it
EVERY_5_S = Changes(added=(program(),))


@dataclass(frozen=True, slots=True)
class SetClock(Clock):
    """A wall clock that stands still until it is set."""

    readings: list[int]

    def now_ms(self) -> int:
        return self.readings[-1]

    def set(self, now_ms: int) -> None:
        self.readings.append(now_ms)


@dataclass(frozen=True, slots=True)
class Succeeding:
    """Stands for the runner: all runs succeed at once."""

    record: RunRecord
    clock: Clock

    async def execute(self, run: Run) -> None:
        self.close(run, Ending(Outcome.SUCCEEDED, ended_ms=self.clock.now_ms()))

    def close(self, run: Run, ending: Ending) -> None:
        self.record.close(run, ending)

    def cancel(self, run_id: str, reason: str) -> None:
        raise AssertionError(run_id, reason)

    withdraw = cancel

    def stop(self) -> None:
        pass


@pytest.fixture
async def record(tmp_path: Path) -> AsyncIterator[RunRecord]:
    async with open_record(f"sqlite:///{tmp_path}/record.db", "manager", lambda _: None) as opened:
        writer = asyncio.create_task(opened.write())
        yield opened
        writer.cancel()


@asynccontextmanager
async def running(
    record: RunRecord,
    clock: Clock,
    executes: Runs | None = None,
    *,
    paused: Sequence[str] = (),
    policy: Policy | None = None,
    ahead_ms: int = 0,
) -> AsyncIterator[Scheduler]:
    """A scheduler whose runs succeed at once, if nobody else executes them.

    Its routines are paused while ``paused`` has a reason.
    """

    runs = RoutineRuns(executes or Succeeding(record, clock), clock)
    planning = Planning(UTC, {}, policy or Policy(), ahead_ms=ahead_ms)
    scheduler = Scheduler(record, runs, lambda _: None, lambda _: next(iter(paused), None), clock, planning)
    work = asyncio.create_task(scheduler.run())
    yield scheduler
    scheduler.stop()
    await scheduler.finished()
    await work
    await record.flush()


async def follow(record: RunRecord, scheduler: Scheduler, clock: Clock) -> None:
    """Let it follow a routine as at its domain's first reading."""
    scheduler.update(EVERY_5_S, await record.follow_all("test", EVERY_5_S.added, clock.now_ms()))


async def recorded(record: RunRecord) -> list[tuple[str, int, int]]:
    """Of each run its outcome and the due times (seconds after T0) that it stands for."""

    def seconds(run: RecordedRun) -> tuple[int, int]:
        assert run.due_ms is not None
        return ((run.first_due_ms or run.due_ms) - T0_MS) // 1000, (run.due_ms - T0_MS) // 1000

    runs = await record.history("test", limit=100)
    return sorted((run.ending.outcome if run.ending else "open", *seconds(run)) for run in runs)


async def until_recorded(record: RunRecord, count: int) -> list[tuple[str, int, int]]:
    async def enough() -> list[tuple[str, int, int]] | None:
        runs = await recorded(record)
        return runs if len(runs) >= count and all(outcome != "open" for outcome, _, _ in runs) else None

    return await until(enough, f"{count} runs have ended")


async def test_a_clock_that_is_set_back_gives_no_due_time_a_second_record_even_after_a_restart(
    record: RunRecord,
) -> None:
    clock = SetClock([T0_MS + 1])
    async with running(record, clock) as scheduler:
        await follow(record, scheduler, clock)
        clock.set(T0_MS + 20_000)
        before = await until_recorded(record, 2)
    assert before == [("missed", 5, 15), ("succeeded", 20, 20)]
    clock.set(T0_MS + 6_000)
    async with running(record, clock) as scheduler:
        await follow(record, scheduler, clock)
        clock.set(T0_MS + 10_000)
        await asyncio.sleep(1.1)  # the scheduler looks at the clock every second
        clock.set(T0_MS + 25_000)
        after = await until_recorded(record, 3)
    assert after == [*before, ("succeeded", 25, 25)]


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_clock_that_was_far_ahead_is_not_waited_for(record: RunRecord, restarted: bool) -> None:
    ahead_ms = T0_MS + 2 * LONGEST_SETBACK_MS
    clock = SetClock([T0_MS + 1])
    async with running(record, clock) as scheduler:
        await follow(record, scheduler, clock)
        clock.set(ahead_ms)
        before = await until_recorded(record, 2)
        if not restarted:
            clock.set(T0_MS + 60_000 + 1)
            await asyncio.sleep(1.1)  # the scheduler looks at the clock every second
            clock.set(T0_MS + 65_999)  # the second time that the clock shows this second
            after = await until_recorded(record, 3)
    if restarted:
        clock.set(T0_MS + 60_000 + 1)
        async with running(record, clock) as scheduler:
            await follow(record, scheduler, clock)
            clock.set(T0_MS + 65_999)  # the second time that the clock shows this second
            after = await until_recorded(record, 3)
    assert set(after) - set(before) == {("succeeded", 65, 65)}


@pytest.mark.parametrize("committed", [True, False])
async def test_a_due_time_whose_claim_is_in_doubt_is_lost_and_in_no_gap(
    record: RunRecord, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    write, away = record._write_batch, asyncio.Event()

    async def break_at_the_commit(batch: Batch) -> set[str]:
        if committed and not away.is_set():
            await write(batch)
        away.set()
        batch.in_doubt = True
        raise DatabaseError("record of runs", "the connection broke")

    clock = SetClock([T0_MS + 1])
    async with running(record, clock) as scheduler:
        await follow(record, scheduler, clock)
        monkeypatch.setattr(record, "_write_batch", break_at_the_commit)
        clock.set(T0_MS + 5_000)
        async with asyncio.timeout(10):
            await away.wait()
        monkeypatch.setattr(record, "_write_batch", write)
        clock.set(T0_MS + 20_000)
        runs = await until_recorded(record, 3)
    assert runs == [("lost", 5, 5), ("missed", 10, 15), ("succeeded", 20, 20)]


async def test_nothing_is_claimed_before_its_due_time(record: RunRecord) -> None:
    clock = SetClock([T0_MS + 4_999])
    async with running(record, clock) as scheduler:
        scheduler.update(EVERY_5_S, {UUID(int=7): T0_MS, UUID_1: T0_MS})
        clock.set(T0_MS + 5_000)
        await until_recorded(record, 1)
    (run,) = await record.history("test", limit=10)
    assert (run.due_ms, run.claimed_ms) == (T0_MS + 5_000, T0_MS + 5_000)


async def test_what_was_due_while_the_manager_was_away_is_missed_even_if_the_routine_had_never_run(
    record: RunRecord,
) -> None:
    clock = SetClock([T0_MS + 1])
    async with running(record, clock) as scheduler:
        await follow(record, scheduler, clock)
    clock.set(T0_MS + 60_000)
    async with running(record, clock) as scheduler:
        await follow(record, scheduler, clock)
        runs = await until_recorded(record, 2)
    assert runs == [("missed", 5, 55), ("succeeded", 60, 60)]


async def until_looked(scheduler: Scheduler) -> None:
    """Until it has seen what time it is: it waits for the next due time, or has kept those of a pause."""

    async def looked() -> bool:
        return scheduler.behind_seconds() == 0

    await until(looked, "the scheduler has seen what time it is")


ALL = Policy(missed=Missed.ALL)


async def test_a_pause_that_was_over_when_the_manager_came_back_is_made_up_for_by_nobody(record: RunRecord) -> None:
    clock = SetClock([T0_MS + 1])
    async with running(record, clock, paused=["paused"], policy=ALL) as scheduler:
        await follow(record, scheduler, clock)
        clock.set(T0_MS + 20_000)
        await until_looked(scheduler)
    assert await recorded(record) == [("skipped", 5, 20)]
    clock.set(T0_MS + 30_000)
    async with running(record, clock, policy=ALL) as scheduler:
        await follow(record, scheduler, clock)
        # While nobody was there it was not paused, as far as is known.
        runs = await until_recorded(record, 3)
    assert runs == [("skipped", 5, 20), ("succeeded", 25, 25), ("succeeded", 30, 30)]


async def test_of_a_long_pause_there_is_a_record_every_hour(record: RunRecord) -> None:
    clock, paused = SetClock([T0_MS + 1]), ["paused"]
    async with running(record, clock, paused=paused) as scheduler:
        await follow(record, scheduler, clock)
        clock.set(T0_MS + 6_000)
        await until_looked(scheduler)
        clock.set(T0_MS + 5_000 + LONGEST_UNRECORDED_PAUSE_MS)
        assert await until_recorded(record, 1) == [("skipped", 5, 3605)]
        clock.set(T0_MS + 3_620_000)
        await until_looked(scheduler)
        paused.clear()
        scheduler.update(Changes(), {})
        assert await until_recorded(record, 2) == [("skipped", 5, 3605), ("skipped", 3610, 3620)]


async def test_due_times_of_a_pause_before_which_the_clock_was_set_back_are_due_when_they_come_again(
    record: RunRecord,
) -> None:
    clock = SetClock([T0_MS + 1])
    async with running(record, clock, paused=["paused"]) as scheduler:
        await follow(record, scheduler, clock)
        clock.set(T0_MS + 20_000)
        await until_looked(scheduler)
        clock.set(T0_MS + 2_000)
    assert await recorded(record) == [("skipped", 5, 5)]
    async with running(record, clock) as scheduler:
        await follow(record, scheduler, clock)
        clock.set(T0_MS + 10_000)
        assert await until_recorded(record, 2) == [("skipped", 5, 5), ("succeeded", 10, 10)]


@pytest.mark.parametrize("changed", [False, True])
async def test_a_due_time_whose_start_is_still_to_come_is_on_record_when_its_routine_is_taken_away_or_changed(
    record: RunRecord, changed: bool
) -> None:
    clock = SetClock([T0_MS + 1])
    jittery = program(tags=("jitter:1h",))
    async with running(record, clock) as scheduler:
        scheduler.update(Changes(added=(jittery,)), {})
        clock.set(T0_MS + 12_000)
        if changed:
            scheduler.update(Changes(changed=(replace(jittery, schedule="@every 1h"),)), {})
        else:
            scheduler.update(Changes(removed=(jittery,)), {})
        assert await until_recorded(record, 1) == [("skipped", 5, 10)]


async def test_runs_of_a_program_that_was_mended_or_taken_away_are_not_repeated(record: RunRecord) -> None:
    clock = SetClock([T0_MS + 1])
    async with running(record, clock) as scheduler:
        await follow(record, scheduler, clock)
        assert scheduler.why_not_again(program()) is None
        scheduler.update(Changes(changed=(program(revision=1, checksum=b"other"),)), {})
        assert scheduler.why_not_again(program()) == "the program has new code"
        scheduler.update(Changes(removed=(program(),)), {})
        assert scheduler.why_not_again(program()) is not None


async def test_a_run_whose_claim_took_so_long_that_it_is_too_late_to_start_is_not_handed_over(
    record: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, write = SetClock([T0_MS + 1]), record._write_batch

    async def write_slowly(batch: Batch) -> set[str]:
        if batch.claims:
            clock.set(T0_MS + 5_000 + 30_001)
        return await write(batch)

    monkeypatch.setattr(record, "_write_batch", write_slowly)
    workers, live = WorkerRegistry(), LiveRuns()
    workers.subscribe(Worker(UUID_1, "http://127.0.0.1:9", None, frozenset({"tengo"}), 0.0))
    async with worker_client() as client:
        dispatcher = Dispatcher(workers, client, clock, lambda _: "", live, parallel=1, wait_for_worker_seconds=0.0)
        failures = Failures(record.past, lambda _: asyncio.sleep(0, result=True))
        runner = Runner(dispatcher, record, clock, live, failures, lambda: 0.0, lambda _: None)
        async with running(record, clock, runner) as scheduler:
            await follow(record, scheduler, clock)
            clock.set(T0_MS + 5_000)
            await until_recorded(record, 1)
    first = (await record.history("test", limit=10))[-1]
    assert first.due_ms == T0_MS + 5_000
    assert first.ending is not None
    assert (first.ending.outcome, first.ending.worker) == (Outcome.MISSED, None)
    assert "too late to start" in (first.ending.reason or "")


class Holding:
    """Stands for the runner: runs go on until they are told to end."""

    def __init__(self, record: RunRecord, clock: Clock) -> None:
        self.record = record
        self.clock = clock
        self.runs: list[Run] = []
        self.withdrawn: list[tuple[str, str]] = []
        self.end = asyncio.Event()

    async def execute(self, run: Run) -> None:
        self.runs.append(run)
        await self.end.wait()
        self.close(run, Ending(Outcome.SUCCEEDED, ended_ms=self.clock.now_ms()))

    def close(self, run: Run, ending: Ending) -> None:
        self.record.close(run, ending)

    def cancel(self, run_id: str, reason: str) -> None:
        raise AssertionError(run_id, reason)

    def withdraw(self, run_id: str, reason: str) -> None:
        self.withdrawn.append((run_id, reason))

    def stop(self) -> None:
        self.end.set()

    async def claimed(self, count: int) -> list[Run]:
        async def enough() -> list[Run] | None:
            return self.runs if len(self.runs) >= count else None

        return await until(enough, f"{count} runs are claimed")


@asynccontextmanager
async def one_held(
    record: RunRecord, paused: Sequence[str] = ()
) -> AsyncIterator[tuple[Scheduler, SetClock, Holding, Run]]:
    """A scheduler with one run that was claimed half a second before it is due, 5 s after T0."""
    clock = SetClock([T0_MS + 1])
    holding = Holding(record, clock)
    async with running(record, clock, holding, ahead_ms=1000, paused=paused) as scheduler:
        await follow(record, scheduler, clock)
        clock.set(T0_MS + 4_500)
        (run,) = await holding.claimed(1)
        yield scheduler, clock, holding, run


async def test_a_run_is_claimed_ahead_and_says_when_it_is_to_begin(record: RunRecord) -> None:
    clock = SetClock([T0_MS + 1])
    holding = Holding(record, clock)
    async with running(record, clock, holding, ahead_ms=1000) as scheduler:
        await follow(record, scheduler, clock)
        clock.set(T0_MS + 3_999)
        await asyncio.sleep(1.1)  # the scheduler looks at the clock every second
        assert holding.runs == []
        clock.set(T0_MS + 4_000)
        (run,) = await holding.claimed(1)
        holding.end.set()
    assert (run.due_ms, run.not_before_ms, run.claimed_ms) == (T0_MS + 5_000, T0_MS + 5_000, T0_MS + 4_000)
    assert await recorded(record) == [("succeeded", 5, 5)]


async def test_what_still_runs_is_not_judged_ahead(record: RunRecord) -> None:
    async with one_held(record) as (_, clock, holding, _):
        clock.set(T0_MS + 9_500)
        await asyncio.sleep(1.1)
        assert (len(holding.runs), len(await recorded(record))) == (1, 1), "it may end until then"
        holding.end.set()
        await asyncio.sleep(0)
        clock.set(T0_MS + 9_800)
        _, run = await holding.claimed(2)
    assert (run.due_ms, run.not_before_ms) == (T0_MS + 10_000, T0_MS + 10_000)


async def test_a_run_whose_earlier_one_never_ends_is_skipped_when_it_is_due_and_not_before(record: RunRecord) -> None:
    async with one_held(record) as (_, clock, _, _):
        clock.set(T0_MS + 9_990)
        await asyncio.sleep(1.1)
        assert await recorded(record) == [("open", 5, 5)]
        clock.set(T0_MS + 10_000)

        async def skipped() -> bool:
            return ("skipped", 10, 10) in await recorded(record)

        await until(skipped, "the second is skipped")


async def test_a_program_that_is_taken_away_while_its_run_is_held_has_it_ended(record: RunRecord) -> None:
    async with one_held(record) as (scheduler, _, holding, run):
        scheduler.update(Changes(removed=EVERY_5_S.added), {})
    assert [run_id for run_id, _ in holding.withdrawn] == [run.id]


async def test_a_program_that_is_paused_by_its_tag_while_its_run_is_held_has_it_ended(record: RunRecord) -> None:
    paused = list[str]()
    async with one_held(record, paused) as (scheduler, _, holding, run):
        paused.append("paused by the test")
        scheduler.update(Changes(changed=EVERY_5_S.added), {})
        paused.clear()
    assert holding.withdrawn == [(run.id, "paused by the test")]


async def test_what_is_paused_is_not_claimed_ahead(record: RunRecord) -> None:
    clock = SetClock([T0_MS + 1])
    holding = Holding(record, clock)
    paused = ["paused by the test"]
    async with running(record, clock, holding, ahead_ms=1000, paused=paused) as scheduler:
        await follow(record, scheduler, clock)
        clock.set(T0_MS + 4_500)
        await asyncio.sleep(1.1)
        paused.clear()
        clock.set(T0_MS + 5_000)
        (run,) = await holding.claimed(1)
    assert (run.due_ms, run.not_before_ms) == (T0_MS + 5_000, None)


async def test_a_clock_set_back_while_a_run_is_held_is_waited_out(record: RunRecord) -> None:
    clock = SetClock([T0_MS + 1])
    async with running(record, clock, ahead_ms=1000) as scheduler:
        await follow(record, scheduler, clock)
        clock.set(T0_MS + 4_500)
        await until_recorded(record, 1)
        clock.set(T0_MS + 3_000)
        await asyncio.sleep(1.1)
        clock.set(T0_MS + 5_500)
        await asyncio.sleep(1.1)
        assert await recorded(record) == [("succeeded", 5, 5)]


async def test_after_a_far_setback_each_second_is_told_apart_from_what_was_claimed_ahead(record: RunRecord) -> None:
    clock = SetClock([T0_MS + 1])
    async with running(record, clock, ahead_ms=1000) as scheduler:
        await follow(record, scheduler, clock)
        clock.set(T0_MS + 79_500)
        await until_recorded(record, 2)
        clock.set(T0_MS + 79_950)
        await until_recorded(record, 3)
        clock.set(T0_MS + 4_500)
        await asyncio.sleep(1.1)
        for second in range(5, 95, 5):
            clock.set(T0_MS + second * 1000 + 1)
            await asyncio.sleep(0.02)
            scheduler.update(Changes(), {})
            await asyncio.sleep(0.05)
        await record.flush()
        due = sorted((run.due_ms or 0) - T0_MS for run in await record.history("test", limit=100))
    assert due[-5:] == [75_001, 80_000, 80_001, 85_000, 90_000]


async def test_it_is_not_behind_before_a_due_time_has_come(record: RunRecord) -> None:
    clock = SetClock([T0_MS + 1])
    async with running(record, clock, ahead_ms=1000) as scheduler:
        await follow(record, scheduler, clock)
        clock.readings.append(T0_MS + 4_990)
        assert scheduler.behind_seconds() == 0.0


async def test_a_look_that_claims_nothing_writes_nothing(record: RunRecord) -> None:
    async with one_held(record) as (_, clock, _, _):
        written = record.writes.seconds.count
        clock.set(T0_MS + 9_600)
        await asyncio.sleep(1.1)
        assert record.writes.seconds.count == written

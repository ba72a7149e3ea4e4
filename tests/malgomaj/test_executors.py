"""Executors without HTTP around them: real processes, driven as the tasks drive them."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from malgomaj.backoff import BackoffRules
from malgomaj.errors import Busy, ExecutorGone, TaskFailed, WorkerError
from malgomaj.executor import Executor, ExecutorOptions
from malgomaj.executors import Executors, open_executors
from malgomaj.meter import ExecutorEnd
from shared.wire import LogLine, Outcome
from tengo_bridge.compiling import CompileOrder
from tengo_bridge.frames import MAX_FRAME_BYTES, Kind
from tests.support.processes import alive
from tests.support.waiting import until

MEBIBYTE = 1024 * 1024
OPTIONS = ExecutorOptions(
    memory_bytes=512 * MEBIBYTE,
    grace_seconds=0.5,
    start_timeout_seconds=10,
    max_programs=2,
    max_programs_bytes=1 * MEBIBYTE,
    program_kept_seconds=100,
    configuration={},
)

BACKOFF = BackoffRules(crashes_forgiven=3, first_seconds=1, max_seconds=30)


@pytest.fixture
async def executors() -> AsyncIterator[Executors]:
    async with open_executors(lambda _: OPTIONS, max_executors=4, idle_seconds=100, backoff=BACKOFF) as executors:
        yield executors


@pytest.fixture
async def executor(executors: Executors) -> AsyncIterator[Executor]:
    executor = await executors.enter("test")
    yield executor
    executor.leave()


def order(code: str, key: str = "key") -> CompileOrder:
    return CompileOrder(key, "tengo", "greet", code.encode(), {})


async def run(executor: Executor, key: str = "key") -> str:
    """The outcome of a run."""
    done = await executor.run(key, 10_000, None, b"", print)
    return str(done.meta["outcome"])


async def test_an_executor_says_what_it_runs(executors: Executors) -> None:
    assert await executors.languages() == ("tengo",)


async def test_simultaneous_compiles_of_one_program_are_one(executor: Executor) -> None:
    waiting = [asyncio.create_task(executor.compile(order("x := 1"))) for _ in range(100)]
    await asyncio.sleep(0)
    assert executor.runs == 1
    assert {answer.kind for answer in await asyncio.gather(*waiting)} == {Kind.COMPILED}
    assert executor.runs == 0


async def test_simultaneous_first_users_start_one_executor(executors: Executors) -> None:
    entered = await asyncio.gather(*(executors.enter("test") for _ in range(50)))
    assert len(set(map(id, entered))) == 1
    assert len(executors) == 1
    for executor in entered:
        executor.leave()


async def test_programs_past_the_most_are_forgotten_on_both_sides(executor: Executor) -> None:
    for key in ("a", "b", "c"):
        await executor.compile(order("x := 1", key))
    assert [executor.note_used(key) for key in ("a", "b", "c")] == [False, True, True]
    assert [await run(executor, key) for key in ("a", "b")] == ["failed", "succeeded"]


async def test_log_lines_come_while_the_program_runs(executor: Executor) -> None:
    source = 'times := import("times"); log := import("log"); log.info("first"); times.sleep(30 * times.second)'
    await executor.compile(order(source))
    lines: list[LogLine] = []
    running = asyncio.create_task(executor.run("key", 60_000, None, b"", lines.append))

    async def first() -> bool:
        return bool(lines)

    await until(first, "the first line comes")
    assert not running.done()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    async def ended() -> bool:
        return not executor.runs

    await until(ended, "the run ends in the executor")
    assert executor.usable


async def test_everybody_inside_hears_of_a_crash(executor: Executor) -> None:
    source = 'times := import("times"); times.sleep(30 * times.second)'
    await executor.compile(order(source))
    inside = [asyncio.create_task(run(executor)) for _ in range(3)]
    await asyncio.sleep(0)
    assert executor.runs == 3
    os.kill(executor.pid, signal.SIGKILL)
    failures = await asyncio.gather(*inside, return_exceptions=True)
    assert [failure.outcome for failure in failures if isinstance(failure, TaskFailed)] == [Outcome.CRASHED] * 3
    assert not executor.usable
    with pytest.raises(ExecutorGone):
        await executor.compile(order("x := 1", "other"))
    with pytest.raises(ExecutorGone):
        await run(executor)


async def test_a_dead_executor_is_replaced_for_the_next_user(executors: Executors) -> None:
    first = await executors.enter("test")
    first.leave()
    os.kill(first.pid, signal.SIGKILL)

    async def noticed() -> bool:
        return not first.usable

    await until(noticed, "its death is noticed")
    second = await executors.enter("test")
    assert second.pid != first.pid
    await second.compile(order("x := 1"))
    assert await run(second) == "succeeded"
    second.leave()


async def test_what_fits_into_no_frame_is_refused(executor: Executor) -> None:
    large = CompileOrder(
        "key", "tengo", "greet", b"x := 1", {"a": b" " * (MAX_FRAME_BYTES // 2), "b": b" " * (MAX_FRAME_BYTES // 2)}
    )
    with pytest.raises(TaskFailed, match="the program and its modules are too large together") as caught:
        await executor.compile(large)
    assert caught.value.error.kind == "compile"
    with pytest.raises(TaskFailed, match="the call is too large for an executor"):
        await executor.run("key", 1000, None, b"x" * MAX_FRAME_BYTES, print)
    assert executor.runs == 0


async def test_retiring_waits_for_the_last_user(executors: Executors) -> None:
    executor = await executors.enter("test")
    await executor.compile(order("x := 1"))
    executor.retire(ExecutorEnd.IDLE)
    executor.retire(ExecutorEnd.IDLE)
    assert not executor.usable
    assert await run(executor) == "succeeded"
    replacement = await executors.enter("test")
    assert replacement is not executor
    executor.leave()

    async def gone() -> bool:
        return not alive(executor.pid)

    await until(gone, "the retired executor ends")
    assert len(executors) == 1
    replacement.leave()


async def test_nothing_is_left_at_the_end() -> None:
    async with open_executors(lambda _: OPTIONS, max_executors=4, idle_seconds=100, backoff=BACKOFF) as executors:
        pids = [(await executors.enter(domain)).pid for domain in ("a", "b")]
        starting = asyncio.create_task(executors.enter("c"))
        await asyncio.sleep(0.01)
    assert not any(map(alive, pids))
    assert len(executors) == 0
    with pytest.raises(asyncio.CancelledError):
        await starting


async def test_an_executor_that_is_not_ready_in_time_is_ended_and_told_of() -> None:
    hasty = replace(OPTIONS, start_timeout_seconds=0.001)
    async with open_executors(lambda _: hasty, max_executors=4, idle_seconds=100, backoff=BACKOFF) as executors:
        with pytest.raises(WorkerError, match=r"an executor did not get ready within 0\.001 s"):
            await executors.languages()
        with pytest.raises(TaskFailed) as caught:
            await executors.enter("test")
        assert caught.value.outcome is Outcome.CRASHED


async def test_an_executor_that_cannot_start_says_why() -> None:
    starved = replace(OPTIONS, memory_bytes=1 * MEBIBYTE)
    async with open_executors(lambda _: starved, max_executors=4, idle_seconds=100, backoff=BACKOFF) as executors:
        with capture_logs() as logs, pytest.raises(WorkerError, match="no executor can be started: "):
            await executors.languages()
    assert [line["event"] for line in logs] == ["executor_crashed"]


async def test_a_retired_executor_ends_even_if_what_is_inside_does_not_stop(executors: Executors) -> None:
    executor = await executors.enter("test")
    long = 'text := import("text"); text.re_match("(a?){400}b", text.repeat("a", 8 * 1024 * 1000))'
    await executor.compile(order(long))
    running = asyncio.create_task(run(executor))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    executor.retire(ExecutorEnd.IDLE)
    assert alive(executor.pid)
    executor.leave()

    async def gone() -> bool:
        return not alive(executor.pid)

    await until(gone, "the executor is killed")


async def test_a_retired_executor_that_does_not_exit_by_itself_is_killed(executors: Executors) -> None:
    executor = await executors.enter("test")
    os.kill(executor.pid, signal.SIGSTOP)
    executor.leave()
    executor.retire(ExecutorEnd.IDLE)

    async def gone() -> bool:
        return not alive(executor.pid)

    await until(gone, "the executor is killed")


async def test_retired_executors_count_among_those_that_there_may_be(executors: Executors) -> None:
    in_use = [await executors.enter(domain) for domain in ("a", "b", "c", "d")]
    in_use[0].retire(ExecutorEnd.IDLE)
    with pytest.raises(Busy, match=r"executors\.max: 4"):
        await executors.enter("a")
    in_use[0].leave()
    replacement = await executors.enter("a")
    assert len(executors) == 4
    for executor in [*in_use[1:], replacement]:
        executor.leave()


async def test_many_domains_at_once_share_a_few_places(executors: Executors) -> None:
    async def use(domain: str) -> bool:
        try:
            executor = await executors.enter(domain)
        except Busy:
            return False
        assert len(executors) <= 4
        await executor.compile(order("x := 1"))
        executor.leave()
        return True

    served = await asyncio.gather(*(use(f"domain-{number}") for number in range(20)))
    assert sum(served) >= 4
    assert await use("one more")

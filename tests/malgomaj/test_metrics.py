"""What a real worker tells Prometheus of what happens to it."""

import asyncio
import os
import signal
from pathlib import Path

from malgomaj.metrics import resident_bytes
from tests.malgomaj.manager import LocalManager
from tests.malgomaj.worker import RunningWorker, figures, running_worker
from tests.support.waiting import until

SLEEPER = 'times := import("times")\ntimes.sleep(20 * times.second)\n'


async def test_tasks_count_by_outcome_and_programs_by_whether_they_were_compiled(
    worker: RunningWorker, manager: LocalManager
) -> None:
    manager.modules["mod"] = {0: "export 1"}
    importing = 'x := import("mod")'
    for source in ("x := 1", "x := 1", "x := 1 / 0", importing, importing):
        await worker.run(source)
    await worker.run(SLEEPER, deadline=50)
    told = await figures(worker)
    assert {name: value for name, value in told.items() if name.startswith("malgomaj_tasks_total")} == {
        "malgomaj_tasks_total succeeded": 4,
        "malgomaj_tasks_total failed": 1,
        "malgomaj_tasks_total timed_out": 1,
        "malgomaj_tasks_total crashed": 0,
        "malgomaj_tasks_total cancelled": 0,
    }
    assert told["malgomaj_task_seconds_count"] == 6
    assert (told["malgomaj_cache_hits_total"], told["malgomaj_cache_misses_total"]) == (2, 4)
    assert told["malgomaj_cache_programs"] == 4
    # The first compile of the program that imports told which module is missing.
    assert told["malgomaj_compile_seconds_count"] == 5
    assert told["malgomaj_library_fetches_total new"] == 1
    assert told["malgomaj_library_fetches_total missing"] == 0


async def test_what_is_under_way_waits_or_is_refused_is_told(tmp_path: Path, manager: LocalManager) -> None:
    limits = {"LIMITS__TASKS": "2", "LIMITS__DOMAIN_RUNS": "1"}
    async with running_worker(tmp_path, manager, **limits) as worker, asyncio.TaskGroup() as group:
        held = [group.create_task(worker.run(SLEEPER)) for _ in range(2)]

        async def full() -> bool:
            told = await figures(worker)
            names = ("malgomaj_tasks_under_way", "malgomaj_tasks_waiting", "malgomaj_executor_runs")
            return [told[name] for name in names] == [2, 1, 1]

        await until(full, "one runs and one waits")
        assert (await worker.run("x := 1")).status == 429
        told = await figures(worker)
        assert told["malgomaj_tasks_refused_total busy"] == 1
        assert told["malgomaj_load_seconds"] == 20
        assert told["malgomaj_http_connections"] >= 3
        for each in held:
            each.cancel()


async def test_a_crashed_executor_is_told_from_one_that_ended(worker: RunningWorker) -> None:
    await worker.run("x := 1")
    (executor,) = worker.executors()
    told = await figures(worker)
    assert (told["malgomaj_executors"], told["malgomaj_executors_started_total"]) == (1, 2)
    assert told["malgomaj_executors_ended_total languages_told"] == 1
    assert told["malgomaj_executor_memory_bytes"] == told["malgomaj_executor_memory_max_bytes"] > 5_000_000
    os.kill(executor, signal.SIGKILL)

    async def noticed() -> bool:
        told = await figures(worker)
        return (told["malgomaj_executors"], told["malgomaj_executors_ended_total crashed"]) == (0, 1)

    await until(noticed, "the crash is counted")


async def test_goroutines_of_executors_are_told(worker: RunningWorker) -> None:
    async with asyncio.TaskGroup() as group:
        held = [group.create_task(worker.run(SLEEPER)) for _ in range(20)]

        async def one_for_each_run() -> bool:
            return (await figures(worker))["malgomaj_executor_goroutines"] > len(held)

        await until(one_for_each_run, "the executor has told of its runs")
        for each in held:
            each.cancel()


async def test_the_process_and_its_version_are_told(worker: RunningWorker) -> None:
    told = await figures(worker)
    assert told["malgomaj_ready"] == 1
    assert told["process_resident_memory_bytes"] > 10_000_000
    assert told["process_open_fds"] > 3
    assert any(name.startswith("malgomaj_build_info ") for name in told)


def test_a_process_that_has_gone_takes_no_memory() -> None:
    assert resident_bytes(2**22 + 1) == 0
    assert resident_bytes(os.getpid()) > 1_000_000

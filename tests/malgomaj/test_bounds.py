"""What one domain can take of a worker: a real one, driven to each of its bounds."""

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

from tests.malgomaj.manager import LocalManager
from tests.malgomaj.worker import RunningWorker, call, running_worker
from tests.support.waiting import until

SLEEP = 'times := import("times"); times.sleep(%d * times.millisecond)'
HELLO = 'cgi := import("cgi"); cgi.response.write("hello")'
UNSTOPPABLE = """
log := import("log")
text := import("text")
much := text.repeat("a", 8 * 1024 * 1000)
log.info("begun")
text.re_match("(a?){400}b", much)
"""
"""One call into Go that takes many seconds, and that nothing but the end of the process can stop."""


async def until_status(worker: RunningWorker, **wanted: Any) -> None:
    async def reached() -> bool:
        return (await worker.status()).items() >= wanted.items()

    await until(reached, f"the worker's status has {wanted}")


async def run_unstoppable(worker: RunningWorker) -> None:
    await worker.run("x := 1")  # so that the deadline does not pass while the executor starts
    assert (await worker.report(UNSTOPPABLE, deadline=500))["outcome"] == "timed_out"


async def crash(worker: RunningWorker, times: int, domain: str = "test") -> None:
    """Have the domain's only executor killed that often."""
    for _ in range(times):
        before = len(worker.process.events("executor_crashed"))
        assert (await worker.run("x := 1", domain=domain)).status == 200
        started = [event for event in worker.process.events("executor_started") if event["domain"] == domain]
        os.kill(started[-1]["executor"], signal.SIGKILL)

        async def noticed(before: int = before) -> bool:
            return len(worker.process.events("executor_crashed")) > before

        await until(noticed, "the worker notices the crash")


async def test_a_program_that_fills_all_its_domains_slots_leaves_the_others_room(
    tmp_path: Path, manager: LocalManager
) -> None:
    async with running_worker(tmp_path, manager, LIMITS__DOMAIN_RUNS="4", LIMITS__DOMAIN_QUEUE="3") as worker:
        full = [asyncio.create_task(worker.run(SLEEP % 700)) for _ in range(7)]
        await until_status(worker, runs=4, waiting=3)
        refused = await worker.run("x := 1")
        assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
        assert refused.json["message"] == (
            "domain 'test' has 4 runs under way (limits.domain_runs) and 3 that wait (limits.domain_queue: 3)"
        )
        assert (await worker.run(HELLO, domain="neighbour", http=call())).body == b"hello"
        assert {answered.status for answered in await asyncio.gather(*full)} == {200}
        assert (await worker.run("x := 1")).status == 200
        assert (await worker.status())["waiting"] == 0


async def test_a_run_that_does_not_get_its_turn_within_its_deadline_is_refused(
    tmp_path: Path, manager: LocalManager
) -> None:
    async with running_worker(tmp_path, manager, LIMITS__DOMAIN_RUNS="1") as worker:
        busy = asyncio.create_task(worker.run(SLEEP % 1500))
        await until_status(worker, runs=1)
        refused = await worker.run("x := 1", deadline=200)
        assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
        assert refused.json["message"] == (
            "domain 'test' had 1 runs under way all the time (limits.domain_runs), so this one was not started "
            "within its deadline of 200 ms"
        )
        assert (await busy).status == 200


async def test_a_report_tells_how_long_the_program_waited_for_its_start(tmp_path: Path, manager: LocalManager) -> None:
    async with running_worker(tmp_path, manager, LIMITS__DOMAIN_RUNS="1") as worker:
        busy = asyncio.create_task(worker.run(SLEEP % 500))
        await until_status(worker, runs=1)
        later = asyncio.create_task(worker.report(SLEEP % 1))
        await until_status(worker, waiting=1)
        broken = await worker.report("x :=")
        assert (await busy).status == 200
        report = await later
        assert 0 < report["waited_ms"] < report["duration_ms"]
        assert broken["waited_ms"] is None


BEGUN = 'log := import("log"); log.info("begun")\n'


async def until_begun(worker: RunningWorker, run_id: str) -> None:
    """Until a run has logged that it has begun."""

    async def begun() -> bool:
        return b"begun" in (await worker.request("GET", f"/v1/runs/{run_id}/log?follow=false")).body

    await until(begun, f"run {run_id} has begun")


async def end_run(worker: RunningWorker, run_id: str) -> int:
    return (await worker.request("DELETE", f"/v1/runs/{run_id}")).status


async def test_a_run_is_ended_when_its_manager_asks_for_it_and_answered_when_it_has_stopped(
    tmp_path: Path, manager: LocalManager
) -> None:
    async with running_worker(tmp_path, manager, LIMITS__DOMAIN_RUNS="1") as worker:
        running = asyncio.create_task(worker.report(BEGUN + SLEEP % 30_000, run_id="one"))
        await until_begun(worker, "one")
        waiting = asyncio.create_task(worker.report("x := 1", run_id="two"))
        await until_status(worker, waiting=1)
        for run_id in ("two", "one"):
            assert await end_run(worker, run_id) == 204
        for report in (await waiting, await running):
            assert (report["outcome"], report["error"]["kind"]) == ("cancelled", "cancelled")
            assert report["error"]["message"] == "the run was ended, as the manager asked"
        assert [each["message"] for each in (await running)["log"]] == ["begun"]
        assert (await worker.status())["runs"] == 0
        assert await end_run(worker, "one") == 404


async def test_a_run_that_does_not_stop_is_answered_as_ended_when_its_executor_is_replaced(
    tmp_path: Path, manager: LocalManager
) -> None:
    async with running_worker(tmp_path, manager, EXECUTORS__GRACE_SECONDS="1") as worker:
        running = asyncio.create_task(worker.report(UNSTOPPABLE, run_id="one"))
        await until_begun(worker, "one")
        assert await end_run(worker, "one") == 204
        assert (await running)["outcome"] == "cancelled"
        (_, replaced) = worker.process.events("executor_retired")
        assert replaced["reason"] == "program_does_not_stop"


async def test_a_run_whose_executor_stands_still_is_never_answered_as_ended(
    tmp_path: Path, manager: LocalManager
) -> None:
    async with running_worker(tmp_path, manager, EXECUTORS__GRACE_SECONDS="0.1") as worker:
        running = asyncio.create_task(worker.report(BEGUN + SLEEP % 30_000, run_id="one", deadline=1500))
        beside = asyncio.create_task(worker.report(BEGUN + SLEEP % 2000, run_id="two"))
        for run_id in ("one", "two"):
            await until_begun(worker, run_id)
        executor = worker.process.events("executor_started")[-1]["executor"]
        os.kill(executor, signal.SIGSTOP)
        assert await end_run(worker, "one") == 204
        assert (await running)["outcome"] == "timed_out"
        os.kill(executor, signal.SIGCONT)
        assert (await beside)["outcome"] == "succeeded"


async def test_a_run_that_does_not_stop_keeps_its_turn_until_its_executor_is_replaced(
    tmp_path: Path, manager: LocalManager
) -> None:
    settings = {"LIMITS__DOMAIN_RUNS": "1", "EXECUTORS__GRACE_SECONDS": "2"}
    async with running_worker(tmp_path, manager, **settings) as worker:
        await run_unstoppable(worker)
        began = time.monotonic()
        assert (await worker.run("x := 1")).status == 200
        assert 1.5 < time.monotonic() - began < 5
        (_, replaced) = worker.process.events("executor_retired")  # the first was asked for its languages
        assert replaced["reason"] == "program_does_not_stop"


async def test_many_domains_are_served_by_eight_executors(tmp_path: Path, manager: LocalManager) -> None:
    most, domains = 8, 50
    async with running_worker(tmp_path, manager, EXECUTORS__MAX=str(most)) as worker:
        seen = 0

        async def call_in_turn(numbers: range) -> None:
            nonlocal seen
            for number in numbers:
                answered = await worker.run(HELLO, domain=f"domain-{number}", http=call())
                assert (answered.status, answered.body) == (200, b"hello"), answered
                seen = max(seen, len(worker.executors()))

        async with asyncio.TaskGroup() as group:
            for first in range(4):
                group.create_task(call_in_turn(range(first, domains, 4)))
        assert seen == most


async def test_a_domain_that_crashes_again_and_again_is_slowed_down_and_its_neighbours_are_not(
    worker: RunningWorker,
) -> None:
    await crash(worker, 3)
    assert (await worker.run("x := 1")).status == 200
    await crash(worker, 1)
    crashed_at = time.monotonic()
    refused = await worker.run("x := 1")
    assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
    assert refused.json["message"] == (
        "the programs of domain 'test' crashed its executor 4 times in the last minute (executors.crashes_forgiven: 3; "
        "last: the executor was ended by SIGKILL); it is taken up again in 1 s"
    )
    assert (await worker.status())["backing_off"] == {"test": 4}
    assert (await worker.run(HELLO, domain="neighbour", http=call())).body == b"hello"

    async def taken_up_again() -> bool:
        return (await worker.run("x := 1")).status == 200

    await until(taken_up_again, "the domain is taken up again")
    assert 0.8 < time.monotonic() - crashed_at < 3
    assert (await worker.status())["backing_off"] == {}


async def test_a_run_that_does_not_stop_counts_as_a_crash(tmp_path: Path, manager: LocalManager) -> None:
    settings = {"EXECUTORS__CRASHES_FORGIVEN": "0", "EXECUTORS__BACKOFF_SECONDS": "30"}
    async with running_worker(tmp_path, manager, **settings) as worker:
        await run_unstoppable(worker)
        await until_status(worker, backing_off={"test": 1})
        refused = await worker.run("x := 1")
        assert (refused.status, refused.headers["Retry-After"]) == (429, "30")
        assert "last: a program did not stop at its deadline" in refused.json["message"]


async def test_a_domain_whose_programs_do_not_stop_takes_no_more_than_three_executors(
    tmp_path: Path, manager: LocalManager
) -> None:
    hanging = f'import("http").get("http://{manager.authority}/hang")'
    async with running_worker(tmp_path, manager, EXECUTORS__CRASHES_FORGIVEN="100") as worker:
        waiting = []
        for number in range(3):
            await worker.run("x := 1")
            waiting.append(asyncio.create_task(worker.report(hanging, deadline=60_000)))
            assert (await worker.report(UNSTOPPABLE, deadline=300))["outcome"] == "timed_out"

            async def retired(number: int = number) -> bool:
                return len(worker.process.events("executor_retired")) == number + 2  # the first told its languages

            await until(retired, "the executor is retired")
        assert (await worker.run("x := 1")).status == 200
        manager.hanging.set()
        reports = await asyncio.gather(*waiting)
        # The third executor and the fourth each cost the oldest one.
        assert [report["outcome"] for report in reports] == ["crashed", "crashed", "succeeded"]
        assert "has no more places for those that do not stop" in reports[0]["error"]["message"]


async def run_and_kill(worker: RunningWorker, **fields: Any) -> dict[str, Any]:
    """The report of a run whose executor is killed once it is under way."""
    source = f'log := import("log"); log.info("begun"); {SLEEP % 700}'
    await worker.run("x := 1")
    run = asyncio.create_task(worker.report(source, **fields))
    await until_status(worker, runs=1)
    (executor,) = worker.executors()
    os.kill(executor, signal.SIGKILL)
    return await run


async def test_a_crashed_run_is_started_once_more_where_the_caller_allows_it(worker: RunningWorker) -> None:
    report = await run_and_kill(worker, retry=True)
    assert (report["outcome"], report["attempts"]) == ("succeeded", 2)
    lines = [(line["level"], line["message"]) for line in report["log"]]
    assert lines[-2:] == [
        ("error", "the run crashed and is started again: the executor was ended by SIGKILL"),
        ("info", "begun"),
    ]


async def test_a_crashed_run_is_reported_once_where_the_caller_does_not(worker: RunningWorker) -> None:
    report = await run_and_kill(worker)
    assert (report["outcome"], report["attempts"]) == ("crashed", 1)
    assert len(worker.process.events("run_started_again")) == 0


async def test_a_run_that_may_not_be_started_again_for_the_crashes_is_reported_as_crashed(
    tmp_path: Path, manager: LocalManager
) -> None:
    async with running_worker(tmp_path, manager, EXECUTORS__CRASHES_FORGIVEN="0") as worker:
        report = await run_and_kill(worker, retry=True)
        assert (report["outcome"], report["error"]["kind"]) == ("crashed", "crash")


async def test_a_hundred_simultaneous_first_calls_compile_once(tmp_path: Path, manager: LocalManager) -> None:
    async with running_worker(tmp_path, manager, LOG__LEVEL="debug") as worker:
        answers = await asyncio.gather(*(worker.run(HELLO, http=call()) for _ in range(100)))
        assert {answered.body for answered in answers} == {b"hello"}
        (compiled,) = worker.process.events("program_compiled")
        assert compiled["bytes"] > 0


async def test_programs_past_the_bytes_of_the_cache_go_and_a_larger_one_still_runs(
    tmp_path: Path, manager: LocalManager
) -> None:
    async with running_worker(tmp_path, manager, CACHE__MAX_BYTES="0", LOG__LEVEL="debug") as worker:
        for source in ("a := 1", "a := 1", "b := 2", "a := 1"):
            answered = await worker.run(source)
            assert answered.status == 200
            assert "X-Expires" in answered.headers
        assert len(worker.process.events("program_compiled")) == 3
        assert (await worker.status())["programs"] == 1

"""Programs that go wrong, in real executors: what it costs them, and that it costs nobody else anything."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.malgomaj.manager import LocalManager
from tests.malgomaj.worker import RunningWorker, call, running_worker
from tests.support.processes import alive
from tests.support.waiting import until

SLEEP = 'times := import("times"); times.sleep(%d * times.millisecond)'
CYCLE = 'json := import("json"); a := {}; a.a = a; json.encode(a)'
HELLO = 'cgi := import("cgi"); cgi.response.write("hello")'

UNSTOPPABLE = """
text := import("text")
log := import("log")
log.info("it begins")
long := text.repeat("a", 8 * 1024 * 1000)
text.re_match("(a?){400}b", long)
"""
"""One call into Go that takes many seconds, and that nothing but the end of the process can stop."""


@pytest.fixture
async def frugal(tmp_path: Path, manager: LocalManager) -> AsyncIterator[RunningWorker]:
    """A worker whose executors have little memory, and of which there may be two."""
    settings = {"EXECUTORS__MEMORY_BYTES": str(192 * 1024 * 1024), "EXECUTORS__MAX": "2"}
    async with running_worker(tmp_path, manager, **settings) as worker:
        yield worker


@pytest.mark.parametrize(
    "source",
    [
        "for {}",
        "f := func(n) { for n > 0 { n = n + 1 } }; f(1)",
        SLEEP % 3_600_000,
        'http := import("http"); http.get("http://AUTHORITY/hang")',
    ],
    ids=["loop", "loop in a function", "sleep", "hanging http"],
)
async def test_a_run_is_ended_at_its_deadline_while_a_neighbour_is_answered(
    worker: RunningWorker, manager: LocalManager, source: str
) -> None:
    source = 'log := import("log"); log.info("it begins");' + source.replace("AUTHORITY", manager.authority)
    await worker.run(HELLO, domain="neighbour", http=call())
    began = time.monotonic()
    run = asyncio.create_task(worker.report(source, deadline=400, program_name="endless"))
    neighbours = 0
    while not run.done():
        assert (await worker.run(HELLO, domain="neighbour", http=call())).body == b"hello"
        neighbours += 1
    report = await run
    assert 0.35 < time.monotonic() - began < 0.9
    assert neighbours > 20
    assert report["outcome"] == "timed_out"
    assert report["error"]["kind"] == "deadline"
    assert report["error"]["message"] == "deadline of 400 ms exceeded"
    assert [line["message"] for line in report["log"]] == ["it begins"]
    assert (await worker.run("x := 1")).status == 200
    assert not worker.process.events("executor_retired")[1:], "the executor stays: the run has stopped"


async def test_the_plain_answer_to_a_deadline_is_an_error(worker: RunningWorker) -> None:
    answered = await worker.run("for {}", deadline=50)
    assert answered.json["code"] == 500
    assert answered.json["message"].startswith("deadline of 50 ms exceeded")


async def test_the_deadline_counts_while_modules_are_fetched(worker: RunningWorker, manager: LocalManager) -> None:
    manager.hold = asyncio.Event()
    report = await worker.report('import("slow")', deadline=100)
    assert (report["outcome"], report["error"]["kind"]) == ("timed_out", "deadline")
    manager.hold.set()


async def test_a_run_that_does_not_stop_costs_its_executor_and_nobody_anything(
    worker: RunningWorker, manager: LocalManager
) -> None:
    await worker.run("x := 1")
    (first,) = worker.executors()
    began = time.monotonic()
    other = asyncio.create_task(worker.run(f'import("http").get("http://{manager.authority}/hang")'))
    report = await worker.report(UNSTOPPABLE, deadline=300)
    assert time.monotonic() - began < 0.8
    assert (report["outcome"], report["error"]["kind"]) == ("timed_out", "deadline")
    assert [line["message"] for line in report["log"]] == ["it begins"]

    async def retired() -> bool:
        return len(worker.process.events("executor_retired")) == 2  # the first one was asked for its languages

    await until(retired, "the executor is retired")
    assert (await worker.run("x := 1")).status == 200
    assert alive(first), "its other run is still under way"
    manager.hanging.set()
    assert (await other).status == 200

    async def killed() -> bool:
        return first not in worker.executors()

    await until(killed, "the retired executor is killed once its other run has ended")
    assert len(worker.executors()) == 1


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        (CYCLE, "runtime", "the value contains itself, or is nested deeper than 1000 levels"),
        (
            "a := []; for { a = append(a, [1, 2, 3, 4, 5, 6, 7, 8]) }",
            "memory",
            "the run was ended because its domain's programs needed more memory than an executor may have "
            "(executors.memory_bytes); it had allocated most",
        ),
    ],
)
async def test_what_used_to_end_an_executor_costs_the_run_alone(
    frugal: RunningWorker, source: str, kind: str, message: str
) -> None:
    beside = asyncio.create_task(frugal.report(SLEEP % 8000))

    async def sleeps() -> bool:
        return bool((await frugal.status())["runs"])

    await until(sleeps, "the run beside it is under way")
    report = await frugal.report(f'log := import("log"); log.info("before"); {source}', deadline=20_000)
    assert (report["outcome"], report["error"]["kind"], report["error"]["message"]) == ("failed", kind, message)
    assert [line["message"] for line in report["log"]] == ["before"]
    assert report["error"]["stack"]
    assert (await beside)["outcome"] == "succeeded"
    assert not frugal.process.events("executor_crashed")


async def test_an_executor_that_is_killed_in_mid_run_is_reported_and_replaced(worker: RunningWorker) -> None:
    await worker.run("x := 1")
    (executor,) = worker.executors()
    run = asyncio.create_task(worker.report(SLEEP % 20_000, deadline=30_000))

    async def under_way() -> bool:
        return bool((await worker.status())["runs"])

    await until(under_way, "the run is under way")
    os.kill(executor, signal.SIGKILL)
    report = await run
    assert (report["outcome"], report["error"]["kind"]) == ("crashed", "crash")
    assert report["error"]["message"] == "the executor was ended by SIGKILL"
    assert (await worker.run("x := 1")).status == 200


async def test_an_executor_that_is_killed_while_idle_is_replaced_without_a_trace(worker: RunningWorker) -> None:
    await worker.run("x := 1")
    (executor,) = worker.executors()
    os.kill(executor, signal.SIGKILL)

    async def noticed() -> bool:
        return bool(worker.process.events("executor_crashed"))

    await until(noticed, "the worker notices")
    assert (await worker.run("x := 1")).status == 200


async def test_many_simultaneous_first_calls_start_one_executor_and_compile_once(
    worker: RunningWorker, manager: LocalManager
) -> None:
    manager.modules["simplemath"] = {1: "export 1"}
    source = 'cgi := import("cgi"); cgi.response.write(string(import("simplemath@1")))'
    answers = await asyncio.gather(*(worker.run(source, http=call()) for _ in range(100)))
    assert {answered.body for answered in answers} == {b"1"}
    assert manager.answers == [200]
    assert len(worker.executors()) == 1
    assert (await worker.status())["programs"] == 1


async def test_an_idle_executor_ends_and_a_busy_one_stays(tmp_path: Path, manager: LocalManager) -> None:
    async with running_worker(tmp_path, manager, EXECUTORS__IDLE_SECONDS="0.5") as worker:
        await worker.run("x := 1", domain="idle")
        idle = worker.executors()  # perhaps with the one that told which languages there are
        busy = asyncio.create_task(worker.run(SLEEP % 2500, domain="busy"))

        async def ended() -> bool:
            return not any(map(alive, idle))

        await until(ended, "the idle executor ends")
        assert (await busy).status == 200
        assert (await worker.run("x := 1", domain="idle")).status == 200


async def test_at_the_cap_the_idle_executor_used_least_lately_makes_room(frugal: RunningWorker) -> None:
    for domain in ("a", "b", "a", "c"):
        assert (await frugal.run("x := 1", domain=domain)).status == 200
    retired = [event["domain"] for event in frugal.process.events("executor_retired")]
    assert retired == ["", "b"]


async def test_at_the_cap_with_all_executors_busy_a_task_is_put_off(frugal: RunningWorker) -> None:
    busy = [asyncio.create_task(frugal.run(SLEEP % 1000, domain=domain)) for domain in ("a", "b")]

    async def both() -> bool:
        return bool((await frugal.status())["runs"] == 2)

    await until(both, "both are under way")
    answered = await frugal.run("x := 1", domain="c")
    assert (answered.status, answered.headers["Retry-After"]) == (429, "1")
    assert "executors.max: 2" in answered.json["message"]
    await asyncio.gather(*busy)
    assert (await frugal.run("x := 1", domain="c")).status == 200


async def test_past_the_most_tasks_at_once_a_task_is_put_off(tmp_path: Path, manager: LocalManager) -> None:
    async with running_worker(tmp_path, manager, LIMITS__TASKS="3") as worker:
        answers = await asyncio.gather(*(worker.run(SLEEP % 500) for _ in range(5)))
        assert sorted(answered.status for answered in answers) == [200, 200, 200, 429, 429]
        (refused, _) = (answered for answered in answers if answered.status == 429)
        assert refused.headers["Retry-After"] == "1"
        assert "limits.tasks: 3" in refused.json["message"]
        assert (await worker.run("x := 1")).status == 200


async def test_a_run_whose_caller_has_gone_is_ended_and_logged(worker: RunningWorker) -> None:
    caller = asyncio.create_task(worker.run(SLEEP % 30_000, run_id="left alone"))

    async def under_way() -> bool:
        return bool((await worker.status())["runs"])

    await until(under_way, "the run is under way")
    caller.cancel()

    async def ended() -> bool:
        return any(event.get("run") == "left alone" for event in worker.process.events("run_ended"))

    await until(ended, "the run ends")
    (event,) = (event for event in worker.process.events("run_ended") if event.get("run") == "left alone")
    assert (event["outcome"], event["error"]) == ("cancelled", "whoever waited for the answer has gone")


@pytest.mark.parametrize(
    ("settings", "source", "kind"),
    [
        ({"LIMITS__STRING_BYTES": "2000"}, 'text := import("text"); text.repeat("a", 3000)', "memory"),
        ({"LIMITS__ALLOCATIONS": "100"}, "for i := 0; i < 1000; i++ { [i] }", "memory"),
        (
            {"LIMITS__ANSWER_BYTES": "1024"},
            'cgi := import("cgi"); for i := 0; i < 200; i++ { cgi.response.write("0123456789") }',
            "output",
        ),
    ],
)
async def test_a_limit_of_the_configuration_reaches_the_executor(
    tmp_path: Path, manager: LocalManager, settings: dict[str, str], source: str, kind: str
) -> None:
    async with running_worker(tmp_path, manager, **settings) as worker:
        report = await worker.report(source, http=call())
        assert (report["outcome"], report["error"]["kind"]) == ("failed", kind)


async def test_log_lines_past_the_limit_are_cut(tmp_path: Path, manager: LocalManager) -> None:
    async with running_worker(tmp_path, manager, LIMITS__LOG_LINES="5") as worker:
        report = await worker.report('log := import("log"); for i := 0; i < 100; i++ { log.info("%d", i) }')
        assert [line["message"] for line in report["log"]][:5] == ["0", "1", "2", "3", "4"]
        assert len(report["log"]) == 6


async def test_no_process_and_no_descriptor_is_left_behind_by_crashes(worker: RunningWorker) -> None:
    def open_descriptors() -> int:
        return len(list(Path(f"/proc/{worker.process.pid}/fd").iterdir()))

    async def crash(domain: str) -> None:
        run = asyncio.create_task(worker.report(SLEEP % 20_000, deadline=30_000, domain=domain))

        async def under_way() -> bool:
            return bool((await worker.status())["runs"])

        await until(under_way, "the run is under way")
        for executor in worker.executors():
            os.kill(executor, signal.SIGKILL)
        assert (await run)["outcome"] == "crashed"

    await crash("crashing")
    await worker.run("x := 1")
    before = open_descriptors()
    for number in range(10):  # one domain that crashes again and again is slowed down
        await crash(f"crashing-{number}")
    await worker.run("x := 1")
    assert len(worker.executors()) == 1
    assert open_descriptors() <= before

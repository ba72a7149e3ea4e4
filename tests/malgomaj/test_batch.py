"""Many tasks in one call: each ends as if it had come alone."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from malgomaj.batch import MAX_UNSENT_LINES, Lines
from shared.wire import MAX_BATCH_BYTES, MAX_BATCH_TASKS, TaskRefusal
from tests.malgomaj.manager import LocalManager
from tests.malgomaj.worker import RunningWorker, call, figures, running_worker, task
from tests.support.waiting import until

PATH = "/v1/tasks/batch"
SLEEP = 'times := import("times"); times.sleep(%d * times.millisecond)'


@pytest.fixture
async def worker(tmp_path: Path, manager: LocalManager) -> AsyncIterator[RunningWorker]:
    async with running_worker(tmp_path, manager, LIMITS__DOMAIN_RUNS="1", LIMITS__DOMAIN_QUEUE="1") as running:
        yield running


async def test_each_task_is_told_of_as_it_ends_whatever_becomes_of_the_others(worker: RunningWorker) -> None:
    hello = 'import("cgi").response.write("hello")'
    lines = await _batch(
        worker,
        task(SLEEP % 300, domain="slow"),
        task("x := 1", domain="good"),
        task("x := ", domain="broken"),
        task("for {}", domain="loop", deadline=100),
        task(hello, domain="hook", http=call()),
        task("x := 1", language="lua"),
    )
    assert list(lines)[-1] == 0, "the slow one comes last, and holds up no other"
    outcomes = [lines[index]["report"]["outcome"] for index in range(5)]
    assert outcomes == ["succeeded", "succeeded", "failed", "timed_out", "succeeded"]
    assert lines[4]["report"]["response"]["body"] == "aGVsbG8="
    assert lines[5]["refusal"]["code"] == 400


async def test_a_task_that_is_too_much_is_refused_and_the_others_run(worker: RunningWorker) -> None:
    lines = await _batch(worker, *[task(SLEEP % 100, domain="crowded") for _ in range(5)])
    refusals = [line["refusal"] for line in lines.values() if "refusal" in line]
    assert [refusal["code"] for refusal in refusals] == [429] * 3
    assert refusals[0]["retry_after"] == 1
    assert [line["report"]["outcome"] for line in lines.values() if "report" in line] == ["succeeded"] * 2


async def test_too_many_tasks_at_once_are_refused_and_none_is_run(worker: RunningWorker) -> None:
    for tasks in ([], [task("x := 1")] * (MAX_BATCH_TASKS + 1)):
        answered = await worker.request("POST", PATH, json={"tasks": tasks})
        assert (answered.status, answered.json["code"]) == (422, 422)
    large = io.BytesIO(b" " * (MAX_BATCH_BYTES + 1))
    assert (await worker.request("POST", PATH, data=large)).status == 413
    assert (await worker.request("POST", PATH, data=b"{")).status == 400


@pytest.mark.parametrize("path", [PATH, "/v1/tasks"])
async def test_what_runs_is_ended_when_who_asked_has_gone(worker: RunningWorker, path: str) -> None:
    long = task(SLEEP % 9000)
    asking = asyncio.create_task(worker.request("POST", path, json={"tasks": [long]} if path == PATH else long))
    await _until_load(worker, 1)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await _until_load(worker, 0)

    async def none_runs() -> bool:
        return not (await worker.status())["runs"]

    await until(none_runs, "the run is over", limit_seconds=5)


async def _batch(worker: RunningWorker, *tasks: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """The lines by the index of their task, in the order in which they came."""
    answered = await worker.request("POST", PATH, json={"tasks": tasks})
    assert answered.status == 200, answered.body
    assert answered.headers["Content-Type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answered.body.splitlines()]
    assert sorted(line["index"] for line in lines) == list(range(len(tasks)))
    return {line["index"]: line for line in lines}


async def _until_load(worker: RunningWorker, tasks: int) -> None:
    async def loaded() -> bool:
        load: int = (await worker.status())["load"]
        return load == tasks * 10_000

    await until(loaded, f"{tasks} tasks are under way")


HELD = "/v1/tasks/held"


class HeldCall:
    """A call of tasks before their time, of which the word comes later."""

    def __init__(self, worker: RunningWorker, *tasks: dict[str, Any]) -> None:
        self.words: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.words.put_nowait(json.dumps({"tasks": tasks}).encode() + b"\n")
        self.asking = asyncio.create_task(self._ask(worker))

    def say(self, word: bytes = b"{}") -> None:
        self.words.put_nowait(word)
        self.words.put_nowait(None)

    async def _ask(self, worker: RunningWorker) -> dict[int, dict[str, Any]]:
        async def body() -> AsyncIterator[bytes]:
            while (part := await self.words.get()) is not None:
                yield part

        answered = await worker.request("POST", HELD, data=body())
        assert answered.status == 200, answered.body
        return {line["index"]: line for line in map(json.loads, answered.body.splitlines())}


async def test_held_tasks_begin_at_the_word_and_count_as_no_load_before(worker: RunningWorker) -> None:
    held = HeldCall(worker, task("x := 1"), task("x := ", domain="broken"), task("x := 1", domain="unwanted"))
    await _until_held(worker, 3)
    assert (await worker.status())["load"] == 0
    held.say(b'{"without": [2]}')
    lines = await held.asking
    assert [lines[index]["report"]["outcome"] for index in range(2)] == ["succeeded", "failed"]
    assert lines[2]["refusal"]["code"] == 410
    assert lines[0]["report"]["waited_ms"] < 1000


async def test_more_held_tasks_than_run_at_once_wait_for_each_other(worker: RunningWorker) -> None:
    held = HeldCall(worker, *[task(SLEEP % 20) for _ in range(10)])
    await _until_held(worker, 10)
    held.say()
    lines = await held.asking
    assert [line["report"]["outcome"] for line in lines.values()] == ["succeeded"] * 10


@pytest.mark.parametrize("word", [b"begin", b'{"without": ["x"]}', b" " * 70_000])
async def test_a_word_that_cannot_be_understood_begins_nothing(worker: RunningWorker, word: bytes) -> None:
    held = HeldCall(worker, task("x := 1"))
    await _until_held(worker, 1)
    held.say(word)
    with pytest.raises(aiohttp.ClientError):
        await held.asking
    await _until_held(worker, 0)
    assert (await figures(worker))["malgomaj_tasks_total succeeded"] == 0


async def test_held_tasks_of_a_manager_that_is_gone_do_not_begin(worker: RunningWorker) -> None:
    held = HeldCall(worker, task("x := 1"))
    await _until_held(worker, 1)
    held.asking.cancel()
    await asyncio.gather(held.asking, return_exceptions=True)
    await _until_held(worker, 0)
    assert (await figures(worker))["malgomaj_tasks_total succeeded"] == 0


async def test_what_cannot_be_run_is_refused_before_its_time(worker: RunningWorker) -> None:
    for body in (b"{", b"{}\n", b""):
        answered = await worker.request("POST", HELD, data=io.BytesIO(body))
        assert answered.status in (400, 422)
    large = io.BytesIO(b" " * (MAX_BATCH_BYTES + 1))
    assert (await worker.request("POST", HELD, data=large)).status == 413
    assert (await worker.request("POST", HELD, data=b"{}", headers={})).status == 401


async def _until_held(worker: RunningWorker, tasks: int) -> None:
    async def are_held() -> bool:
        return (await figures(worker))["malgomaj_tasks_held"] == tasks

    await until(are_held, f"{tasks} tasks are held")


class OpenCall:
    """A call that goes on as long as the manager sends."""

    def __init__(self, worker: RunningWorker) -> None:
        self.told: dict[int, dict[str, Any]] = {}
        """By the index of their task, in the order in which they came."""
        self._parts: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._asking = asyncio.create_task(self._ask(worker))

    def send(self, *tasks: dict[str, Any]) -> None:
        self.send_line(json.dumps({"tasks": tasks}).encode())

    def send_line(self, line: bytes) -> None:
        self._parts.put_nowait(line + b"\n")

    async def end(self) -> None:
        """Wait for the worker to end it as well."""
        self._parts.put_nowait(None)
        async with asyncio.timeout(10):
            await self._asking

    async def until_told(self, tasks: int) -> None:
        async def are_told() -> bool:
            return len(self.told) >= tasks

        await until(are_told, f"{tasks} tasks are told of", limit_seconds=5)

    async def _ask(self, worker: RunningWorker) -> None:
        async def body() -> AsyncIterator[bytes]:
            while (part := await self._parts.get()) is not None:
                yield part

        async with worker.session.post(f"{worker.process.url}{PATH}", data=body(), headers=worker.headers) as response:
            assert response.status == 200
            async for line in response.content:
                told = json.loads(line)
                assert told["index"] not in self.told
                self.told[told["index"]] = told


async def test_tasks_that_are_sent_later_in_a_call_are_begun_at_once_and_numbered_on(worker: RunningWorker) -> None:
    open_call = OpenCall(worker)
    open_call.send(task(SLEEP % 300, domain="slow"), task("x := 1"))
    await open_call.until_told(1)
    open_call.send_line(b"")
    open_call.send(task("x := ", domain="broken"), task("x := 1", language="lua"))
    open_call.send(task("for {}", domain="loop", deadline=50))
    await open_call.end()
    assert next(iter(open_call.told)) == 1
    assert sorted(open_call.told) == [0, 1, 2, 3, 4]
    outcomes = [open_call.told[index]["report"]["outcome"] for index in (0, 1, 2, 4)]
    assert outcomes == ["succeeded", "succeeded", "failed", "timed_out"]
    assert open_call.told[3]["refusal"]["code"] == 400


@pytest.mark.parametrize("line", [b"{", b'{"tasks": []}', b'{"tasks": [' + b" " * MAX_BATCH_BYTES, b" ", b"\xff"])
async def test_a_later_line_that_cannot_be_read_ends_the_call_when_what_was_begun_has_ended(
    worker: RunningWorker, line: bytes
) -> None:
    open_call = OpenCall(worker)
    open_call.send(task(SLEEP % 200))
    await _until_load(worker, 1)
    open_call.send_line(line)
    open_call.send(task("x := 1"))
    await open_call.until_told(1)
    await open_call.end()
    assert open_call.told[0]["report"]["outcome"] == "succeeded"
    assert len(open_call.told) == 1


async def test_a_call_goes_on_for_longer_than_a_body_may_take_otherwise(tmp_path: Path, manager: LocalManager) -> None:
    async with running_worker(tmp_path, manager, LIMITS__BODY_TIMEOUT_SECONDS="0.2") as worker:
        open_call = OpenCall(worker)
        open_call.send(task("x := 1"))
        await open_call.until_told(1)
        await asyncio.sleep(0.6)  # three times as long
        open_call.send(task("x := 2"))
        await open_call.end()
    assert [open_call.told[index]["report"]["outcome"] for index in range(2)] == ["succeeded"] * 2


async def test_as_long_as_nobody_reads_what_was_said_no_more_tasks_are_taken() -> None:
    lines = Lines()
    for index in range(MAX_UNSENT_LINES + 1):
        lines.expect()
        lines.add_refusal(index, TaskRefusal(code=429, message="busy"))
    waiting = asyncio.create_task(lines.have_room())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    assert len(await lines.take()) == MAX_UNSENT_LINES + 1
    await asyncio.wait_for(waiting, 1)
    lines.expect_no_more()
    assert not await lines.take()

"""What is sent to a worker together, and what becomes of each if the call goes wrong."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from juvuln.answers import NotStarted, Said, Unanswered, Why
from juvuln.batches import ROOM_BYTES, Batches, Start
from juvuln.workers import Worker
from shared.wire import MAX_BATCH_TASKS, REPORT_CONTENT_TYPE, Outcome
from tests.juvuln.support import UUID_1
from tests.support.waiting import free_port
from tests.support.worker_client import worker_client

Answer = Callable[[web.Request, list[Any]], Awaitable[web.StreamResponse]]
SUCCEEDED = {"outcome": "succeeded"}


class FakeWorker:
    """Keeps what it is asked, and answers as a test says."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.alone = 0
        self.words: list[Any] = []
        self.unsaid = b""
        """What is said of held tasks before their word has come."""
        self.answer: Answer = self.all_well
        self.port = free_port()

    @property
    def worker(self) -> Worker:
        return Worker(UUID_1, f"http://127.0.0.1:{self.port}", None, frozenset({"tengo"}), 0.0, takes_batches=True)

    async def take_batch(self, request: web.Request) -> web.StreamResponse:
        tasks = (await request.json())["tasks"]
        self.batches.append(len(tasks))
        return await self.answer(request, tasks)

    async def take_held(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        tasks = json.loads(await request.content.readline())["tasks"]
        self.batches.append(len(tasks))
        answered = await self.answer(request, tasks)
        await response.write(self.unsaid)
        self.words.append(json.loads(await request.content.read()))
        assert isinstance(answered, web.Response)
        assert isinstance(answered.body, bytes)
        await response.write(answered.body)
        return response

    async def take_one(self, _request: web.Request) -> web.Response:
        self.alone += 1
        return web.Response(text=json.dumps(SUCCEEDED), content_type=REPORT_CONTENT_TYPE)

    async def all_well(self, _request: web.Request, tasks: list[Any]) -> web.Response:
        return lines(*({"index": index, "report": SUCCEEDED} for index in reversed(range(len(tasks)))))


def lines(*content: dict[str, Any]) -> web.Response:
    return web.Response(text="".join(json.dumps(line) + "\n" for line in content), content_type="application/x-ndjson")


@pytest.fixture
async def fake() -> AsyncIterator[FakeWorker]:
    made = FakeWorker()
    app = web.Application(client_max_size=ROOM_BYTES * 4)
    app.router.add_post("/v1/tasks", made.take_one)
    app.router.add_post("/v1/tasks/batch", made.take_batch)
    app.router.add_post("/v1/tasks/held", made.take_held)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", made.port).start()
    yield made
    await runner.cleanup()


@asynccontextmanager
async def batches() -> AsyncIterator[Batches]:
    async with worker_client() as client:
        yield Batches(client)


async def run_together(worker: Worker, tasks: list[bytes]) -> list[Said | BaseException]:
    async with batches() as made:
        return await asyncio.gather(*[made.run(worker, task, is_call=False) for task in tasks], return_exceptions=True)


def kinds(results: list[Said | BaseException]) -> list[object]:
    return [result.outcome if isinstance(result, Said) else type(result) for result in results]


async def test_what_is_sent_together_goes_together_in_bounded_batches_and_one_goes_alone(fake: FakeWorker) -> None:
    results = await run_together(fake.worker, [b"{}"] * (2 * MAX_BATCH_TASKS + 1))
    assert set(kinds(results)) == {Outcome.SUCCEEDED}
    assert (fake.batches, fake.alone) == ([MAX_BATCH_TASKS, MAX_BATCH_TASKS], 1)


async def test_webhooks_called_together_get_each_its_own_answer(fake: FakeWorker) -> None:
    async def written(_request: web.Request, tasks: list[Any]) -> web.Response:
        written = [{"status": 200 + index, "body": "aGk="} for index in range(len(tasks))]
        return lines(
            *({"index": index, "report": SUCCEEDED | {"response": each}} for index, each in enumerate(written))
        )

    fake.answer = written
    async with batches() as made:
        said = await asyncio.gather(*[made.run(fake.worker, b"{}", is_call=True) for _ in range(3)])
    assert fake.batches == [3]
    assert [one.answer and (one.answer.status, one.answer.body) for one in said] == [
        (200, b"hi"),
        (201, b"hi"),
        (202, b"hi"),
    ]


@pytest.mark.parametrize("piece_bytes", [1, 7, 64 * 1024])
async def test_answers_come_whole_in_whatever_pieces_they_arrive(fake: FakeWorker, piece_bytes: int) -> None:
    lengths = [0, 300_000 if piece_bytes > 7 else 30, 5]

    async def in_pieces(request: web.Request, _tasks: list[Any]) -> web.StreamResponse:
        bodies = [base64.b64encode(b"x" * length).decode() for length in lengths]
        reports = [{"index": index, "report": SUCCEEDED | {"response": {"body": b}}} for index, b in enumerate(bodies)]
        sent = "".join(json.dumps(line) + "\n" for line in reports).encode()
        response = web.StreamResponse()
        await response.prepare(request)
        for start in range(0, len(sent), piece_bytes):
            await response.write(sent[start : start + piece_bytes])
        return response

    fake.answer = in_pieces
    async with batches() as made:
        said = await asyncio.gather(*[made.run(fake.worker, b"{}", is_call=True) for _ in lengths])
    assert [one.answer and len(one.answer.body) for one in said] == lengths


async def test_large_tasks_are_spread_over_several_batches(fake: FakeWorker) -> None:
    large = json.dumps({"source_code": "x" * (ROOM_BYTES // 2)}).encode()
    results = await run_together(fake.worker, [large, b"{}", large, b"{}", large])
    assert set(kinds(results)) == {Outcome.SUCCEEDED}
    assert sum(fake.batches) + fake.alone == 5
    assert max(fake.batches) == 2


async def test_each_is_told_what_became_of_it(fake: FakeWorker) -> None:
    async def mixed(_request: web.Request, _tasks: list[Any]) -> web.Response:
        return lines(
            {"index": 2, "refusal": {"code": 503, "message": "about to stop", "retry_after": 3}},
            {"index": 0, "report": SUCCEEDED},
            {"index": 3, "refusal": {"code": 400, "message": "no such language"}},
        )

    fake.answer = mixed
    well, unheard, refused, failed = await run_together(fake.worker, [b"{}"] * 4)
    assert kinds([well, failed]) == [Outcome.SUCCEEDED, Outcome.FAILED]
    assert isinstance(unheard, Unanswered)
    assert isinstance(refused, NotStarted)
    assert (refused.why, refused.retry_after_seconds) == (Why.BUSY, 3.0)


async def test_when_the_stream_breaks_those_not_told_of_are_unanswered(fake: FakeWorker) -> None:
    async def break_off(request: web.Request, _tasks: list[Any]) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(json.dumps({"index": 1, "report": SUCCEEDED}).encode() + b'\n{"index": 0, "rep')
        assert request.transport is not None
        request.transport.close()
        return response

    fake.answer = break_off
    assert kinds(await run_together(fake.worker, [b"{}"] * 3)) == [Unanswered, Outcome.SUCCEEDED, Unanswered]


@pytest.mark.parametrize("line", ["nonsense", '{"index": 7}', '{"index": 0}', '{"index": 0, "report": {}}'])
async def test_an_answer_that_cannot_be_read_leaves_the_rest_unanswered(fake: FakeWorker, line: str) -> None:
    async def strange(_request: web.Request, _tasks: list[Any]) -> web.Response:
        return web.Response(text=line + "\n")

    fake.answer = strange
    assert kinds(await run_together(fake.worker, [b"{}"] * 2)) == [Unanswered, Unanswered]


@pytest.mark.parametrize(("status", "why"), [(401, Why.STRANGER), (503, Why.BUSY), (404, Why.STRANGER)])
async def test_a_call_that_is_refused_as_a_whole_begins_none(fake: FakeWorker, status: int, why: Why) -> None:
    async def refuse(_request: web.Request, _tasks: list[Any]) -> web.Response:
        return web.json_response({"code": status, "message": "no"}, status=status)

    fake.answer = refuse
    results = await run_together(fake.worker, [b"{}"] * 2)
    assert [result.why for result in results if isinstance(result, NotStarted)] == [why, why]


async def test_where_nobody_listens_none_was_begun() -> None:
    results = await run_together(FakeWorker().worker, [b"{}"] * 3)
    assert [result.why for result in results if isinstance(result, NotStarted)] == [Why.GONE] * 3


async def test_a_call_ends_when_nobody_waits_for_it_any_more_and_not_before(fake: FakeWorker) -> None:
    begun, broken_off, go_on = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def hang(request: web.Request, tasks: list[Any]) -> web.Response:
        begun.set()
        try:
            await go_on.wait()
        except asyncio.CancelledError:
            broken_off.set()
            raise
        return await fake.all_well(request, tasks)

    fake.answer = hang
    async with batches() as made, asyncio.timeout(5):
        first, second = [asyncio.create_task(made.run(fake.worker, b"{}", is_call=False)) for _ in range(2)]
        await begun.wait()
        first.cancel()
        go_on.set()
        assert (await second).outcome is Outcome.SUCCEEDED
        go_on.clear()
        begun.clear()
        both = [asyncio.create_task(made.run(fake.worker, b"{}", is_call=False)) for _ in range(2)]
        await begun.wait()
        for one in both:
            one.cancel()
        await broken_off.wait()


async def test_who_is_cancelled_before_it_is_sent_is_not_sent(fake: FakeWorker) -> None:
    async with batches() as made:
        runs = [asyncio.create_task(made.run(fake.worker, b"{}", is_call=False)) for _ in range(3)]
        asyncio.get_running_loop().call_soon(runs[0].cancel)
        results = await asyncio.gather(*runs, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert sum(fake.batches) + fake.alone <= 3


def start(at: float, begin: Callable[[], None] = lambda: None, at_ms: int = 1000) -> Start:
    return Start(at_ms, at, begin)


async def test_what_begins_together_is_handed_over_together_and_begins_at_one_word(fake: FakeWorker) -> None:
    at = asyncio.get_running_loop().time() + 0.1
    begun: list[int] = []
    starts = [*[start(at, lambda: begun.append(1))] * 3, start(at, lambda: begun.append(2), at_ms=2000), None]
    async with batches() as made:
        runs = [made.run(fake.worker, b"{}", is_call=False, start=each) for each in starts]
        said = await asyncio.gather(*runs)
    assert {one.outcome for one in said} == {Outcome.SUCCEEDED}
    assert (sorted(fake.batches), fake.alone) == ([1, 3], 1)
    assert asyncio.get_running_loop().time() >= at
    assert fake.words == [{"without": []}] * 2
    assert sorted(begun) == [1, 1, 1, 2]


async def test_what_is_not_to_begin_after_all_is_told_and_the_others_begin(fake: FakeWorker) -> None:
    def not_now() -> None:
        raise NotStarted(Why.OURS, "is gone")

    at = asyncio.get_running_loop().time() + 0.1
    async with batches() as made:
        runs = [
            asyncio.create_task(made.run(fake.worker, b"{}", is_call=False, start=each))
            for each in (start(at), start(at, not_now), start(at))
        ]
        await asyncio.sleep(0.02)
        runs[2].cancel()
        results = await asyncio.gather(*runs, return_exceptions=True)
    assert fake.words == [{"without": [1, 2]}]
    assert kinds(results) == [Outcome.SUCCEEDED, NotStarted, asyncio.CancelledError]


async def test_what_broke_before_its_time_certainly_did_not_start_and_later_nobody_knows(fake: FakeWorker) -> None:
    async def cut(request: web.Request, _tasks: list[Any]) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    at, begun = asyncio.get_running_loop().time() + 0.1, list[int]()
    fake.answer = cut
    async with batches() as made:
        early = start(at, lambda: begun.append(1))
        with pytest.raises(NotStarted) as broken:
            await made.run(fake.worker, b"{}", is_call=False, start=early)
        assert (broken.value.why, begun) == (Why.BROKEN, [])
        assert asyncio.get_running_loop().time() < at

        async def cut_later(request: web.Request, tasks: list[Any]) -> web.Response:
            await request.content.readany()
            return await cut(request, tasks)

        fake.answer, late = cut_later, start(at, lambda: begun.append(2))
        with pytest.raises(Unanswered):
            await made.run(fake.worker, b"{}", is_call=False, start=late)
        assert begun == [2]


async def test_that_nobody_listens_is_told_before_the_time_has_come() -> None:
    async with batches() as made, asyncio.timeout(5):
        with pytest.raises(NotStarted) as gone:
            at = asyncio.get_running_loop().time() + 60
            await made.run(FakeWorker().worker, b"{}", is_call=False, start=start(at))
    assert gone.value.why is Why.GONE


async def test_whatever_goes_wrong_with_one_when_it_is_to_begin_the_others_hear_their_word(fake: FakeWorker) -> None:
    def wrong() -> None:
        raise KeyError("oh")

    at = asyncio.get_running_loop().time() + 0.1
    async with batches() as made:
        runs = [made.run(fake.worker, b"{}", is_call=False, start=each) for each in (start(at, wrong), start(at))]
        results = await asyncio.gather(*runs, return_exceptions=True)
    assert fake.words == [{"without": [0]}]
    assert kinds(results) == [NotStarted, Outcome.SUCCEEDED]


@pytest.mark.parametrize("said", [{"report": {"outcome": "failed"}}, {"refusal": {"code": 413, "message": "large"}}])
async def test_what_a_worker_ends_before_its_time_was_not_begun(fake: FakeWorker, said: dict[str, Any]) -> None:
    async def early(request: web.Request, _tasks: list[Any]) -> web.Response:
        fake.unsaid = json.dumps({"index": 0, **said}).encode() + b"\n"
        return lines()

    fake.answer = early
    async with batches() as made, asyncio.timeout(5):
        with pytest.raises(NotStarted):
            at = asyncio.get_running_loop().time() + 60
            await made.run(fake.worker, b"{}", is_call=False, start=start(at))

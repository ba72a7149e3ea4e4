"""What is sent to a worker together, and what becomes of each if the call goes wrong."""

import asyncio
import base64
import functools
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohappyeyeballs
import aiohttp
import pytest
from aiohttp import web

from juvuln import batch_call, worker_connections
from juvuln.answers import NotStarted, Said, Unanswered, Why
from juvuln.batch_call import Start
from juvuln.batches import ROOM_BYTES, TASKS_AT_ONCE, Batches
from juvuln.worker_client import open_worker_client
from juvuln.workers import Worker
from shared.wire import MAX_BATCH_TASKS, REPORT_CONTENT_TYPE, Outcome
from tests.juvuln.support import UUID_1
from tests.support.waiting import free_port, until
from tests.support.worker_client import worker_client

LOCALHOST_PEM = Path(__file__).parent.parent / "tengo_bridge" / "localhost.pem"
Answer = Callable[[web.Request, list[Any]], Awaitable[web.StreamResponse]]
SUCCEEDED = {"outcome": "succeeded"}


class FakeWorker:
    """Keeps what it is asked, and answers as a test says."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.calls = 0
        """Those for several tasks."""
        self.ended_by_manager = 0
        self.connections: set[object] = set()
        self.alone = 0
        self.words: list[Any] = []
        self.unsaid = b""
        """What is said of held tasks before their word has come."""
        self.answer: Answer = self.all_well
        self.port = free_port()

    @property
    def worker(self) -> Worker:
        return Worker(UUID_1, f"http://127.0.0.1:{self.port}", None, frozenset({"tengo"}), 0.0, takes_batches=True)

    async def take_batches(self, request: web.Request) -> web.StreamResponse:
        self.calls += 1
        self.connections.add(request.transport)
        tasks = await self.next_batch(request)
        answered = await self.answer(request, tasks)
        if answered.prepared or answered.status != 200:
            return answered
        response = web.StreamResponse()
        await response.prepare(request)
        number = 0
        while True:
            await response.write(numbered_from(number, answered))
            number += len(tasks)
            if not (tasks := await self.next_batch(request)):
                return response
            answered = await self.answer(request, tasks)

    async def has_ended(self, calls: int) -> bool:
        return self.ended_by_manager == calls

    async def next_batch(self, request: web.Request) -> list[Any]:
        """Empty at the end of what the manager sends."""
        if not (line := await request.content.readuntil(b"\n")):
            self.ended_by_manager += 1
            return []
        tasks: list[Any] = json.loads(line)["tasks"]
        self.batches.append(len(tasks))
        return tasks

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


def numbered_from(number: int, answered: web.StreamResponse) -> bytes:
    """The lines of an answer, their tasks numbered on from those of earlier batches."""
    assert isinstance(answered, web.Response)
    assert isinstance(answered.body, bytes)
    if not number:
        return answered.body
    moved = [json.loads(line) for line in answered.body.splitlines()]
    return b"".join(json.dumps(line | {"index": line["index"] + number}).encode() + b"\n" for line in moved)


def lines(*content: dict[str, Any]) -> web.Response:
    return web.Response(text="".join(json.dumps(line) + "\n" for line in content), content_type="application/x-ndjson")


@asynccontextmanager
async def serving(made: FakeWorker, tls: ssl.SSLContext | None = None) -> AsyncIterator[None]:
    app = web.Application(client_max_size=ROOM_BYTES * 4)
    app.router.add_post("/v1/tasks", made.take_one)
    app.router.add_post("/v1/tasks/batch", made.take_batches)
    app.router.add_post("/v1/tasks/held", made.take_held)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", made.port, ssl_context=tls).start()
    yield
    await runner.cleanup()


@pytest.fixture
async def fake() -> AsyncIterator[FakeWorker]:
    made = FakeWorker()
    async with serving(made):
        yield made


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
    assert (fake.batches, fake.alone, fake.calls) == ([MAX_BATCH_TASKS, MAX_BATCH_TASKS, 1], 0, 1)
    assert kinds(await run_together(fake.worker, [b"{}"])) == [Outcome.SUCCEEDED]
    assert fake.alone == 1


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


async def test_one_that_is_too_large_for_a_batch_goes_alone(fake: FakeWorker) -> None:
    large = json.dumps({"source_code": "x" * ROOM_BYTES}).encode()
    results = await run_together(fake.worker, [large, b"{}", large, b"{}"])
    assert set(kinds(results)) == {Outcome.SUCCEEDED}
    assert (fake.batches, fake.alone) == ([2], 2)


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


async def two(made: Batches, worker: Worker) -> list[Said]:
    return await asyncio.gather(*[made.run(worker, b"{}", is_call=True) for _ in range(2)])


async def test_what_comes_next_goes_on_the_same_call_and_each_is_told_its_own(fake: FakeWorker) -> None:
    async def written(_request: web.Request, tasks: list[Any]) -> web.Response:
        bodies = [base64.b64encode(b"%d" % sum(fake.batches[:-1]) + b"-%d" % index) for index in range(len(tasks))]
        reports = [SUCCEEDED | {"response": {"body": body.decode()}} for body in bodies]
        return lines(*({"index": index, "report": report} for index, report in enumerate(reports)))

    fake.answer = written
    async with batches() as made:
        said = [await two(made, fake.worker) for _ in range(3)]
    assert [[one.answer and one.answer.body for one in both] for both in said] == [
        [b"0-0", b"0-1"],
        [b"2-0", b"2-1"],
        [b"4-0", b"4-1"],
    ]
    assert (fake.calls, fake.batches) == (1, [2, 2, 2])


async def test_many_that_come_in_one_turn_of_an_open_call_are_not_kept_until_its_end(fake: FakeWorker) -> None:
    async with batches() as made:
        await two(made, fake.worker)
        await asyncio.gather(*[made.run(fake.worker, b"{}", is_call=False) for _ in range(TASKS_AT_ONCE * 2 + 1)])
    assert (fake.calls, fake.batches) == (1, [2, TASKS_AT_ONCE, TASKS_AT_ONCE, 1])


async def test_a_call_in_which_nothing_is_under_way_is_ended_and_its_connection_kept(fake: FakeWorker) -> None:
    async with batches() as made:
        for call in (1, 2):
            await two(made, fake.worker)
            await until(functools.partial(fake.has_ended, call), "the call is ended", limit_seconds=5)
    assert (fake.calls, len(fake.connections)) == (2, 1)


async def test_a_call_takes_tasks_for_a_while_and_those_under_way_end_in_it(
    fake: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_call, "OPEN_SECONDS", 0.1)
    go_on = asyncio.Event()

    async def wait(request: web.Request, tasks: list[Any]) -> web.Response:
        await go_on.wait()
        return await fake.all_well(request, tasks)

    async with batches() as made, asyncio.timeout(5):
        fake.answer = wait
        first = asyncio.create_task(two(made, fake.worker))
        await asyncio.sleep(0.3)  # which is longer than it is open
        fake.answer = fake.all_well
        assert {one.outcome for one in await two(made, fake.worker)} == {Outcome.SUCCEEDED}
        assert not first.done()
        go_on.set()
        assert {one.outcome for one in await first} == {Outcome.SUCCEEDED}
    assert fake.calls == 2


async def test_after_a_call_that_broke_the_next_tasks_get_a_new_one(fake: FakeWorker) -> None:
    async def cut(request: web.Request, _tasks: list[Any]) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with batches() as made:
        await two(made, fake.worker)
        fake.answer = cut
        broken = await asyncio.gather(
            *[made.run(fake.worker, b"{}", is_call=False) for _ in range(2)], return_exceptions=True
        )
        assert kinds(broken) == [Unanswered, Unanswered]
        fake.answer = fake.all_well
        assert {one.outcome for one in await two(made, fake.worker)} == {Outcome.SUCCEEDED}
    assert fake.calls == 2


async def test_one_that_nobody_waits_for_does_not_disturb_the_others_of_its_call(fake: FakeWorker) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def wait(request: web.Request, tasks: list[Any]) -> web.Response:
        begun.set()
        await go_on.wait()
        return await fake.all_well(request, tasks)

    async with batches() as made, asyncio.timeout(5):
        fake.answer = wait
        first, second = [asyncio.create_task(made.run(fake.worker, b"{}", is_call=False)) for _ in range(2)]
        await begun.wait()
        first.cancel()
        go_on.set()
        assert (await second).outcome is Outcome.SUCCEEDED
        assert {one.outcome for one in await two(made, fake.worker)} == {Outcome.SUCCEEDED}
    assert fake.calls == 1


async def test_a_worker_that_does_not_end_its_answer_is_not_waited_for_for_ever(
    fake: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_call, "LINGER_SECONDS", 0.05)
    monkeypatch.setattr(batch_call, "END_SECONDS", 0.05)
    broken_off = asyncio.Event()

    async def hang(request: web.Request, tasks: list[Any]) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for index in range(len(tasks)):
            await response.write(json.dumps({"index": index, "report": SUCCEEDED}).encode() + b"\n")
        try:
            await asyncio.Event().wait()
        finally:
            broken_off.set()
        return response

    fake.answer = hang
    async with batches() as made, asyncio.timeout(5):
        assert {one.outcome for one in await two(made, fake.worker)} == {Outcome.SUCCEEDED}
        await broken_off.wait()


async def test_a_task_that_is_told_of_twice_is_told_of_once_and_the_call_ends(fake: FakeWorker) -> None:
    async def twice(_request: web.Request, _tasks: list[Any]) -> web.Response:
        return lines(*[{"index": 0, "report": SUCCEEDED}] * 2)

    fake.answer = twice
    assert kinds(await run_together(fake.worker, [b"{}"] * 2)) == [Outcome.SUCCEEDED, Unanswered]


async def test_a_worker_that_speaks_tls_gets_what_goes_together_in_a_call_that_ends_with_it() -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(LOCALHOST_PEM)
    fake = FakeWorker()
    worker = replace(fake.worker, base_url=f"https://localhost:{fake.port}")
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=LOCALHOST_PEM))
    async with serving(fake, tls), aiohttp.ClientSession(connector=connector) as session:
        with open_worker_client(session) as client:
            made = Batches(client)
            for _ in range(2):
                assert {one.outcome for one in await two(made, worker)} == {Outcome.SUCCEEDED}
    assert (fake.calls, fake.batches, fake.ended_by_manager) == (2, [2, 2], 2)


@pytest.mark.parametrize("seconds", [0.0, 0.1])
async def test_what_has_no_connection_when_its_time_comes_certainly_did_not_start(
    fake: FakeWorker, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = aiohappyeyeballs.start_connection

    async def connect_slowly(*args: Any, **options: Any) -> Any:
        await asyncio.sleep(0.3)
        return await connect(*args, **options)

    monkeypatch.setattr(worker_connections, "start_connection", connect_slowly)
    async with batches() as made, asyncio.timeout(5):
        at = asyncio.get_running_loop().time() + seconds
        runs = [made.run(fake.worker, b"{}", is_call=False, start=start(at)) for _ in range(2)]
        results = await asyncio.gather(*runs, return_exceptions=True)
    assert [result.why for result in results if isinstance(result, NotStarted)] == [Why.BROKEN] * 2
    assert not fake.words


async def test_what_gathers_while_a_call_is_given_up_goes_with_a_new_one(fake: FakeWorker) -> None:
    begun = asyncio.Event()

    async def hang(_request: web.Request, _tasks: list[Any]) -> web.Response:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    fake.answer = hang
    async with batches() as made, asyncio.timeout(5):
        hung = [asyncio.create_task(made.run(fake.worker, b"{}", is_call=False)) for _ in range(2)]
        await begun.wait()
        fake.answer = fake.all_well
        for one in hung:
            asyncio.get_running_loop().call_soon(one.cancel)  # while the next gather
        assert {one.outcome for one in await two(made, fake.worker)} == {Outcome.SUCCEEDED}
    assert fake.calls == 2

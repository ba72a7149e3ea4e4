"""One attempt of a run, against workers that know only the contract, and against strange ones."""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import pytest
from aiohttp import web

from juvuln.batches import ROOM_BYTES
from juvuln.clock import Clock, new_run_id
from juvuln.dispatch import Dispatcher, Result
from juvuln.live import LiveRuns
from juvuln.programs import Program
from juvuln.runs.run import ProgramCall, Run, Trigger
from juvuln.worker_client import WorkerClient
from juvuln.workers import Worker, WorkerRegistry
from shared.auth import BasicCredentials
from shared.wire import Outcome
from tests.juvuln.support import CALL, PROGRAM, UUID_1, UUID_2, program
from tests.support.waiting import free_port
from tests.support.worker_client import worker_client

STATE = "the state of the domain"
LONG_CODE = b"x := 1".ljust(1000)
LONG = program(code=LONG_CODE, digest=hashlib.sha256(LONG_CODE).digest())

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Manager:
    """A dispatcher with what it needs."""

    def __init__(self, client: WorkerClient, wait_seconds: float = 0.0, clock: Clock | None = None) -> None:
        self.workers = WorkerRegistry()
        self.live = LiveRuns()
        self.dispatcher = Dispatcher(
            self.workers,
            client,
            clock or Clock(),
            lambda _: STATE,
            self.live,
            parallel=10,
            wait_for_worker_seconds=wait_seconds,
        )

    def subscribe(self, uuid: UUID, port: int, *, keeps_sources: bool = False, holds_tasks: bool = False) -> None:
        url, credentials = f"http://127.0.0.1:{port}", BasicCredentials("me", "s3cret")
        worker = Worker(
            uuid,
            url,
            credentials,
            frozenset({"tengo"}),
            0.0,
            keeps_sources=keeps_sources,
            holds_tasks=holds_tasks,
        )
        self.workers.subscribe(worker)

    async def run(self, call: ProgramCall | None = None, program: Program = PROGRAM) -> Result:
        trigger = Trigger.WEBHOOK if call else Trigger.SCHEDULE
        return await self.attempt(Run(new_run_id(0), program, trigger, claimed_ms=0, call=call))

    async def attempt(self, run: Run) -> Result:
        self.live.begin(run.id)
        return await self.dispatcher.attempt(run)


@pytest.fixture
async def manager() -> AsyncIterator[Manager]:
    async with worker_client() as client:
        yield Manager(client)


@asynccontextmanager
async def worker(handler: Handler) -> AsyncIterator[int]:
    app = web.Application(client_max_size=4 * ROOM_BYTES)
    app.router.add_post("/v1/tasks", handler)
    app.router.add_post("/v1/tasks/held", handler)
    app.router.add_route("*", "/elsewhere", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def test_a_plain_worker_gets_what_the_contract_says(manager: Manager) -> None:
    tasks = []

    async def take(request: web.Request) -> web.Response:
        tasks.append((await request.json(), request.headers["Authorization"]))
        return web.Response(status=201, body=b"four")

    async with worker(take) as port:
        manager.subscribe(UUID_1, port)
        result = await manager.run(CALL._replace(headers={"A": "b"}, body=b"\xff"))
    assert result.ending.outcome is Outcome.SUCCEEDED
    assert (result.ending.request_bytes, result.ending.answer_bytes, result.ending.answer_status) == (1, 4, 201)
    assert result.ending.worker == f"127.0.0.1:{port}"
    ((task, authorization),) = tasks
    assert authorization == BasicCredentials("me", "s3cret").header()
    assert {name: task[name] for name in ("deadline", "domain", "language", "program_uuid", "source_code")} == {
        "deadline": 1000,
        "domain": "test",
        "language": "tengo",
        "program_uuid": str(UUID_1),
        "source_code": "eCA6PSAx",
    }
    assert task["library"] == STATE
    assert (task["http"]["headers"], task["http"]["body"]) == ({"A": "b"}, "/w==")


async def test_a_redirect_is_the_program_s_answer_and_is_not_followed(manager: Manager) -> None:
    asked = []

    async def redirect(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere", "Set-Cookie": "a=b"})

    async with worker(redirect) as port:
        manager.subscribe(UUID_1, port)
        result = await manager.run(CALL)
    assert result.answer is not None
    assert result.answer.status == 307
    assert asked == ["/v1/tasks"]


async def test_a_run_moves_on_if_a_worker_refused_it_and_not_if_a_program_answered_so(manager: Manager) -> None:
    taken: list[str] = []

    def answering(name: str, body: dict[str, object]) -> Handler:
        async def answer(_request: web.Request) -> web.Response:
            taken.append(name)
            return web.json_response(body, status=503)

        return answer

    refusal = {"code": 503, "message": "draining"}
    async with worker(answering("one", refusal)) as one, worker(answering("two", {"error": "mine"})) as two:
        manager.subscribe(UUID_1, one)
        manager.subscribe(UUID_2, two)
        result = await manager.run(CALL)
    assert taken == ["one", "two"]
    assert result.answer is not None
    assert result.answer.status == 503
    assert UUID_1 in manager.workers


async def test_a_worker_that_cannot_be_reached_is_dropped_and_the_run_goes_to_another(manager: Manager) -> None:
    async def take(_request: web.Request) -> web.Response:
        return web.Response()

    async with worker(take) as port:
        manager.subscribe(UUID_1, free_port())
        manager.subscribe(UUID_2, port)
        assert (await manager.run()).ending.outcome is Outcome.SUCCEEDED
    assert UUID_1 not in manager.workers


async def test_a_connection_that_breaks_loses_the_run_and_it_is_not_tried_again(manager: Manager) -> None:
    count = 0

    async def break_off(request: web.Request) -> web.Response:
        nonlocal count
        count += 1
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async with worker(break_off) as port:
        manager.subscribe(UUID_1, port)
        result = await manager.run()
    assert result.ending.outcome is Outcome.LOST
    assert "broke before it answered" in (result.ending.reason or "")
    assert count == 1


async def test_without_a_worker_the_run_waits_for_one_and_is_then_skipped() -> None:
    async with worker_client() as client:
        manager = Manager(client, wait_seconds=0.05)
        result = await manager.run()
        assert result.ending.outcome is Outcome.SKIPPED
        assert result.ending.reason == "no worker that runs tengo is subscribed"

    async def take(_request: web.Request) -> web.Response:
        return web.Response()

    async with worker_client() as client, worker(take) as port:
        manager = Manager(client, wait_seconds=10)
        waiting = asyncio.create_task(manager.run())
        await asyncio.sleep(0)
        manager.subscribe(UUID_1, port)
        assert (await waiting).ending.outcome is Outcome.SUCCEEDED


async def test_a_worker_that_turns_up_after_its_start_deadline_does_not_get_a_run() -> None:
    async def take(_request: web.Request) -> web.Response:
        raise AssertionError("begun too late")

    async with worker_client() as client, worker(take) as port:
        manager = Manager(client, wait_seconds=10)
        async with asyncio.timeout(5):
            result = await manager.attempt(due_run(start_by_seconds=0.1))
        manager.subscribe(UUID_1, port)
    assert (result.ending.outcome, result.ending.started_ms) == (Outcome.SKIPPED, None)


async def test_a_run_that_moves_on_from_a_worker_after_its_start_deadline_is_not_begun(manager: Manager) -> None:
    async def refuse_late(_request: web.Request) -> web.Response:
        await asyncio.sleep(0.2)
        return refusing(503, retry_after="0")

    async def take(_request: web.Request) -> web.Response:
        raise AssertionError("begun too late")

    async with worker(refuse_late) as first, worker(take) as second:
        manager.subscribe(UUID_1, first)
        manager.subscribe(UUID_2, second)
        result = await manager.attempt(due_run(start_by_seconds=0.1))
    assert result.ending.outcome is Outcome.SKIPPED
    assert (result.ending.reason or "").startswith("no worker took it: ")


async def test_without_a_worker_no_run_keeps_a_place_from_others() -> None:
    async with worker_client() as client:
        manager = Manager(client, wait_seconds=0.2)
        loop = asyncio.get_running_loop()
        began = loop.time()
        results = await asyncio.gather(*[manager.run() for _ in range(100)])
        # All wait at the same time, however few places there are, and none of them twice.
        assert loop.time() - began < 1
    assert {result.ending.outcome for result in results} == {Outcome.SKIPPED}


async def test_a_name_longer_than_the_wire_takes_does_not_keep_a_program_from_running(manager: Manager) -> None:
    async def take(request: web.Request) -> web.Response:
        assert len((await request.json())["program_name"]) == 255
        return web.Response()

    async with worker(take) as port:
        manager.subscribe(UUID_1, port)
        run = Run(new_run_id(0), program(name="n" * 1000), Trigger.SCHEDULE, claimed_ms=0)
        assert (await manager.attempt(run)).ending.outcome is Outcome.SUCCEEDED


async def test_a_run_that_got_its_turn_too_late_is_missed(manager: Manager) -> None:
    run = Run(new_run_id(0), program(), Trigger.SCHEDULE, claimed_ms=0, due_ms=0, start_by_ms=1000)
    ending = (await manager.attempt(run)).ending
    assert ending.outcome is Outcome.MISSED
    assert "too late to start" in (ending.reason or "")


async def test_a_run_that_all_workers_are_too_busy_for_waits_until_one_takes_it(manager: Manager) -> None:
    asked = 0

    async def busy_twice(_request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response() if asked > 2 else refusing(429, retry_after="0")

    async with worker(busy_twice) as port:
        manager.subscribe(UUID_1, port)
        result = await manager.attempt(due_run(start_by_seconds=10))
    assert result.ending.outcome is Outcome.SUCCEEDED
    assert asked == 3


async def test_a_run_that_all_workers_are_too_busy_for_is_skipped_when_it_is_too_late_to_start(
    manager: Manager,
) -> None:
    async def busy(_request: web.Request) -> web.Response:
        return refusing(429, retry_after="0")

    async with worker(busy) as one, worker(busy) as two:
        manager.subscribe(UUID_1, one)
        manager.subscribe(UUID_2, two)
        result = await manager.attempt(due_run(start_by_seconds=0.3))
    assert result.ending.outcome is Outcome.SKIPPED
    assert f"127.0.0.1:{one}: takes no more runs (no)" in (result.ending.reason or "")
    assert f"127.0.0.1:{two}: takes no more runs (no)" in (result.ending.reason or "")


async def test_the_runs_of_a_worker_that_is_gone_are_lost_at_once_and_its_late_answer_changes_nothing(
    manager: Manager,
) -> None:
    reached, late = asyncio.Event(), asyncio.Event()

    async def answer_late(_request: web.Request) -> web.Response:
        reached.set()
        await late.wait()
        return web.Response()

    async with worker(answer_late) as port:
        manager.subscribe(UUID_1, port)
        running = asyncio.create_task(manager.attempt(due_run(start_by_seconds=10)))
        await reached.wait()
        manager.workers.lose(UUID_1, "was silent for 30 s")
        async with asyncio.timeout(2):
            result = await running
        late.set()
    assert result.ending.outcome is Outcome.LOST
    assert result.ending.reason == f"127.0.0.1:{port} was silent for 30 s"


async def test_a_worker_that_left_brings_its_runs_to_their_end(manager: Manager) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def answer_late(_request: web.Request) -> web.Response:
        reached.set()
        await go_on.wait()
        return web.Response()

    async with worker(answer_late) as port:
        manager.subscribe(UUID_1, port)
        running = asyncio.create_task(manager.run())
        await reached.wait()
        manager.workers.leave(UUID_1)
        go_on.set()
        assert (await running).ending.outcome is Outcome.SUCCEEDED


async def test_a_refused_connection_means_that_all_runs_there_are_lost(manager: Manager) -> None:
    reached = asyncio.Event()

    async def hang(_request: web.Request) -> web.Response:
        reached.set()
        await asyncio.sleep(30)
        return web.Response()

    async with worker(hang) as port:
        manager.subscribe(UUID_1, port)
        running = asyncio.create_task(manager.run())
        await reached.wait()
        # The same worker at an address where nobody listens any more.
        manager.subscribe(UUID_1, free_port())
        assert (await manager.run()).ending.outcome is Outcome.SKIPPED
        async with asyncio.timeout(2):
            lost = (await running).ending
    assert lost.outcome is Outcome.LOST
    assert "takes no connection any more" in (lost.reason or "")


async def test_where_all_workers_are_drained_a_skipped_run_says_so(manager: Manager) -> None:
    manager.subscribe(UUID_1, 1)
    manager.workers.drain(UUID_1, drained=True)
    reason = (await manager.run()).ending.reason
    assert reason == "no worker that runs tengo can be given it: 127.0.0.1:1 is drained"


class Keeper:
    """A worker that keeps source code; what it got of that, one word for each task."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.kept: set[str] = set()

    async def take(self, request: web.Request) -> web.Response:
        task = await request.json()
        digest, code = task.get("source_digest"), base64.b64decode(task["source_code"])
        self.got.append("whole" if digest is None else "to keep" if code else "digest")
        if code and digest:
            assert hashlib.sha256(code).hexdigest() == digest
            self.kept.add(digest)
        if digest and digest not in self.kept:
            return refusing(409, retry_after="60")
        return web.Response()


async def test_source_code_goes_once_to_a_worker_that_keeps_it_and_always_to_another(manager: Manager) -> None:
    keeper, other = Keeper(), Keeper()
    async with worker(keeper.take) as one, worker(other.take) as two:
        manager.subscribe(UUID_1, one, keeps_sources=True)
        manager.subscribe(UUID_2, two)
        for away in (UUID_2, UUID_1):
            manager.workers.drain(away, drained=True)
            for _ in range(3):
                assert (await manager.run(program=LONG)).ending.outcome is Outcome.SUCCEEDED
            manager.workers.drain(away, drained=False)
    assert (keeper.got, other.got) == (["to keep", "digest", "digest"], ["whole"] * 3)


async def test_short_source_code_goes_as_it_is(manager: Manager) -> None:
    keeper = Keeper()
    async with worker(keeper.take) as port:
        manager.subscribe(UUID_1, port, keeps_sources=True)
        for code in (b"", b"x := 1", b"x := 1"):
            await manager.run(program=program(code=code, digest=hashlib.sha256(code).digest()))
    assert keeper.got == ["whole"] * 3


async def test_runs_at_the_same_time_send_the_source_until_one_of_them_is_answered(manager: Manager) -> None:
    keeper = Keeper()
    async with worker(keeper.take) as port:
        manager.subscribe(UUID_1, port, keeps_sources=True)
        await asyncio.gather(*[manager.run(program=LONG) for _ in range(3)])
        await manager.run(program=LONG)
    assert keeper.got == ["to keep"] * 3 + ["digest"]


async def test_a_worker_that_needs_the_source_again_gets_it_in_the_same_run_and_with_each_from_then_on(
    manager: Manager,
) -> None:
    keeper = Keeper()
    async with worker(keeper.take) as port:
        manager.subscribe(UUID_1, port, keeps_sources=True)
        await manager.run(program=LONG)
        keeper.kept.clear()
        for result in await asyncio.gather(manager.run(program=LONG), manager.run(program=LONG)):
            assert (result.ending.outcome, result.ending.reason) == (Outcome.SUCCEEDED, None)
        await manager.run(program=LONG)
        assert sorted(keeper.got) == ["digest"] * 2 + ["to keep"] + ["whole"] * 3
        manager.subscribe(UUID_1, port, keeps_sources=True)
        await manager.run(program=LONG)
    assert keeper.got[-1] == "to keep"


async def test_a_worker_that_needs_what_it_was_sent_is_not_asked_without_end(manager: Manager) -> None:
    asked = 0

    async def never_content(_request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return refusing(409, retry_after="60")

    async with worker(never_content) as port:
        manager.subscribe(UUID_1, port, keeps_sources=True)
        ending = (await manager.run(program=LONG)).ending
    assert (ending.outcome, asked) == (Outcome.SKIPPED, 1)
    assert "does not keep the source code that it was sent" in (ending.reason or "")


async def test_a_source_that_is_needed_after_the_start_deadline_is_not_sent(manager: Manager) -> None:
    keeper = Keeper()

    async def refuse_late(request: web.Request) -> web.Response:
        answer = await keeper.take(request)
        await asyncio.sleep(0.2 if answer.status == 409 else 0)
        return answer

    async with worker(refuse_late) as port:
        manager.subscribe(UUID_1, port, keeps_sources=True)
        await manager.run(program=LONG)
        keeper.kept.clear()
        ending = (await manager.attempt(due_run(start_by_seconds=0.1, program=LONG))).ending
    assert (ending.outcome, keeper.got) == (Outcome.SKIPPED, ["to keep", "digest"])


async def test_what_looks_like_it_from_a_worker_of_the_contract_is_a_program_s_failure(manager: Manager) -> None:
    asked = 0

    async def conflict(_request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return refusing(409, retry_after="0")

    async with worker(conflict) as port:
        manager.subscribe(UUID_1, port)
        ending = (await manager.run(CALL, LONG)).ending
    assert (ending.outcome, asked) == (Outcome.FAILED, 1)


def due_run(*, start_by_seconds: float, program: Program = PROGRAM) -> Run:
    now_ms = Clock().now_ms()
    start_by_ms = now_ms + round(start_by_seconds * 1000)
    return Run(new_run_id(0), program, Trigger.SCHEDULE, claimed_ms=now_ms, due_ms=now_ms, start_by_ms=start_by_ms)


def refusing(status: int, retry_after: str) -> web.Response:
    return web.json_response({"code": status, "message": "no"}, status=status, headers={"Retry-After": retry_after})


HELD = "/v1/tasks/held"
AHEAD_MS = 150


class HoldingWorker:
    """Holds what it is sent; notes when it is told to begin, and when it is asked for what is due."""

    def __init__(self) -> None:
        self.begun_ms: list[int] = []
        self.asked_ms: list[int] = []
        self.held = asyncio.Event()
        self.refusal: dict[str, object] | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path != HELD:
            self.asked_ms.append(Clock().now_ms())
            return web.Response()
        response = web.StreamResponse()
        await response.prepare(request)
        await request.content.readline()
        self.held.set()
        if self.refusal is None:
            if json.loads(await request.content.read())["without"] == []:
                self.begun_ms.append(Clock().now_ms())
            line: dict[str, object] = {"index": 0, "report": {"outcome": "succeeded", "waited_ms": 3.0}}
        else:
            line = {"index": 0, "refusal": self.refusal}
        await response.write(json.dumps(line).encode() + b"\n")
        return response


def early_run(start_by_ms: int = 30_000) -> Run:
    now_ms = Clock().now_ms()
    at_ms = now_ms + AHEAD_MS
    return Run(
        new_run_id(now_ms),
        PROGRAM,
        Trigger.SCHEDULE,
        claimed_ms=now_ms,
        due_ms=at_ms,
        not_before_ms=at_ms,
        start_by_ms=at_ms + start_by_ms,
    )


async def held_attempt(manager: Manager, run: Run, holding: HoldingWorker, port: int) -> "asyncio.Task[Result]":
    """An attempt of a run that the worker at ``port`` holds by now."""
    manager.subscribe(UUID_1, port, holds_tasks=True)
    attempt = asyncio.create_task(manager.attempt(run))
    await holding.held.wait()
    return attempt


async def test_a_run_claimed_ahead_is_held_by_a_worker_and_begins_in_time(manager: Manager) -> None:
    holding, run = HoldingWorker(), early_run()
    async with worker(holding.handle) as port:
        attempt = await held_attempt(manager, run, holding, port)
        live = manager.live.find(run.id)
        assert live is not None
        assert (live.worker, live.at_worker, manager.live.early, manager.live.waiting) == (None, False, 1, 0)
        ending = (await attempt).ending
    assert (ending.outcome, holding.asked_ms) == (Outcome.SUCCEEDED, [])
    assert run.not_before_ms is not None
    assert holding.begun_ms[0] >= run.not_before_ms
    assert ending.started_ms is not None
    assert ending.started_ms >= run.not_before_ms + 3
    assert manager.live.early == 0


async def test_a_run_claimed_ahead_waits_for_its_time_where_no_worker_holds_it(manager: Manager) -> None:
    holding, run = HoldingWorker(), early_run()
    async with worker(holding.handle) as port:
        manager.subscribe(UUID_1, port)
        ending = (await manager.attempt(run)).ending
    assert (ending.outcome, holding.begun_ms) == (Outcome.SUCCEEDED, [])
    assert run.not_before_ms is not None
    assert holding.asked_ms[0] >= run.not_before_ms


@pytest.mark.parametrize("code", [409, 429, 503])
async def test_a_run_that_a_worker_does_not_hold_is_dispatched_in_its_time(manager: Manager, code: int) -> None:
    holding, run = HoldingWorker(), early_run()
    holding.refusal = {"code": code, "message": "no"}
    async with worker(holding.handle) as port:
        manager.subscribe(UUID_1, port, holds_tasks=True)
        ending = (await manager.attempt(run)).ending
    assert ending.outcome is Outcome.SUCCEEDED
    assert run.not_before_ms is not None
    assert holding.asked_ms[0] >= run.not_before_ms


@pytest.mark.parametrize(
    "go",
    [
        lambda workers: workers.lose(UUID_1, "was silent"),
        lambda workers: workers.leave(UUID_1),
        lambda workers: workers.drain(UUID_1, drained=True),
    ],
    ids=["lost", "left", "drained"],
)
async def test_a_run_whose_worker_goes_before_its_time_goes_to_another(
    manager: Manager, go: Callable[[WorkerRegistry], object]
) -> None:
    first, second, run = HoldingWorker(), HoldingWorker(), early_run()
    async with worker(first.handle) as first_port, worker(second.handle) as second_port:
        attempt = await held_attempt(manager, run, first, first_port)
        go(manager.workers)
        manager.subscribe(UUID_2, second_port)
        ending = (await attempt).ending
    assert (ending.outcome, ending.worker) == (Outcome.SUCCEEDED, f"127.0.0.1:{second_port}")
    assert first.begun_ms == []


async def test_a_held_run_that_is_cancelled_before_its_time_does_not_begin(manager: Manager) -> None:
    holding, run = HoldingWorker(), early_run()
    async with worker(holding.handle) as port:
        attempt = await held_attempt(manager, run, holding, port)
        attempt.cancel()
        await asyncio.gather(attempt, return_exceptions=True)
        await asyncio.sleep(AHEAD_MS / 1000 + 0.05)
    assert holding.begun_ms == []
    assert [known.runs for known in manager.workers.all()] == [0]


@dataclass(frozen=True, slots=True)
class ShiftedClock(Clock):
    """The machine's clock, set to another time."""

    shift_ms: list[int]

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.shift_ms[-1]


async def test_a_held_run_waits_for_its_time_anew_when_the_clock_is_set_back_a_little() -> None:
    holding, clock = HoldingWorker(), ShiftedClock([0])
    async with worker_client() as client, worker(holding.handle) as port:
        manager, run = Manager(client, clock=clock), early_run()
        attempt = await held_attempt(manager, run, holding, port)
        clock.shift_ms.append(-300)
        ending = (await attempt).ending
        assert ending.outcome is Outcome.SUCCEEDED
    assert run.not_before_ms is not None
    assert holding.begun_ms == []
    assert holding.asked_ms[0] >= run.not_before_ms + 300


async def test_a_held_run_begins_as_it_was_to_when_the_clock_is_set_back_by_far() -> None:
    holding, clock = HoldingWorker(), ShiftedClock([0])
    async with worker_client() as client, worker(holding.handle) as port:
        manager, run = Manager(client, clock=clock), early_run()
        attempt = await held_attempt(manager, run, holding, port)
        clock.shift_ms.append(-3600_000)
        assert (await attempt).ending.outcome is Outcome.SUCCEEDED
    assert len(holding.begun_ms) == 1


async def test_a_held_run_whose_start_deadline_the_clock_has_passed_is_missed() -> None:
    holding, clock = HoldingWorker(), ShiftedClock([0])
    async with worker_client() as client, worker(holding.handle) as port:
        manager, run = Manager(client, clock=clock), early_run()
        attempt = await held_attempt(manager, run, holding, port)
        clock.shift_ms.append(3600_000)
        assert (await attempt).ending.outcome is Outcome.MISSED
    assert holding.begun_ms == []


async def test_a_held_run_has_all_its_time_from_when_it_is_told_to_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    # As where the manager stood still when it was to tell it.
    monkeypatch.setattr("juvuln.dispatch.ANSWER_MARGIN_MS", 0)
    holding, run = HoldingWorker(), early_run()._replace(program=program(deadline_ms=200))
    async with worker_client() as client, worker(holding.handle) as port:
        manager = Manager(client)
        attempt = await held_attempt(manager, run, holding, port)
        time.sleep(0.5)  # noqa: ASYNC251 - nothing of this loop goes on meanwhile
        assert (await attempt).ending.outcome is Outcome.SUCCEEDED
    assert len(holding.begun_ms) == 1


async def test_a_run_whose_worker_was_lost_and_is_back_before_its_time_is_not_begun_in_its_old_place(
    manager: Manager,
) -> None:
    holding, run = HoldingWorker(), early_run()
    async with worker(holding.handle) as port:
        attempt = await held_attempt(manager, run, holding, port)
        manager.workers.lose(UUID_1, "was silent")
        manager.subscribe(UUID_1, port)
        assert (await attempt).ending.outcome is Outcome.SUCCEEDED
    assert (holding.begun_ms, len(holding.asked_ms)) == ([], 1)


async def test_a_run_cut_off_while_it_is_held_was_with_no_worker(manager: Manager) -> None:
    holding, run = HoldingWorker(), early_run()
    async with worker(holding.handle) as port:
        attempt = await held_attempt(manager, run, holding, port)
        attempt.cancel()
        await asyncio.gather(attempt, return_exceptions=True)
    live = manager.live.find(run.id)
    assert live is not None
    assert (live.at_worker, live.begun, live.early) == (False, False, False)


async def test_what_is_too_large_or_too_much_is_not_sent_ahead(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    holding = HoldingWorker()
    async with worker(holding.handle) as port:
        manager.subscribe(UUID_1, port, holds_tasks=True)
        large = early_run()._replace(program=program(code=b"x := 1".ljust(ROOM_BYTES)))
        assert (await manager.attempt(large)).ending.outcome is Outcome.SUCCEEDED
        monkeypatch.setattr("juvuln.dispatch.MOST_HELD_BYTES", 1000)
        assert (await manager.attempt(early_run())).ending.outcome is Outcome.SUCCEEDED
    assert (holding.begun_ms, len(holding.asked_ms)) == ([], 2)


async def test_a_run_that_waits_for_a_worker_while_the_clock_is_set_past_its_start_deadline_is_missed() -> None:
    holding, clock, refused = HoldingWorker(), ShiftedClock([0]), asyncio.Event()

    async def busy(_request: web.Request) -> web.Response:
        refused.set()
        return web.json_response({"code": 429, "message": "busy"}, status=429)

    async with worker_client() as client, worker(busy) as busy_port, worker(holding.handle) as port:
        manager = Manager(client, wait_seconds=5.0, clock=clock)
        manager.subscribe(UUID_1, busy_port)
        run = early_run()._replace(not_before_ms=None, start_by_ms=clock.now_ms() + 3_000)
        attempt = asyncio.create_task(manager.attempt(run))
        await refused.wait()
        await asyncio.sleep(0.05)
        clock.shift_ms.append(5_000)
        manager.subscribe(UUID_2, port)
        assert (await attempt).ending.outcome is Outcome.MISSED
    assert holding.asked_ms == []

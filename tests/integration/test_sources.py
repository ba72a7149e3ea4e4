"""Source code on its way from a manager to real workers: sent once, and what comes of the runs stays the same."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch
from uuid import UUID

import aiohttp
import pytest
from yarl import URL

from juvuln.clock import Clock, new_run_id
from juvuln.dispatch import Dispatcher, Result
from juvuln.live import LiveRuns
from juvuln.programs import Program
from juvuln.runs.run import ProgramCall, Run, Trigger
from juvuln.worker_client import WorkerClient
from juvuln.worker_connections import Answer, Parts, WorkerConnections
from juvuln.workers import WorkerRegistry, worker_from
from shared.wire import Outcome, Subscriber
from tests.juvuln.support import UUID_1, UUID_2, program
from tests.malgomaj.manager import local_manager
from tests.malgomaj.worker import RunningWorker, figures, running_worker
from tests.support.installation import Domain, Installation
from tests.support.metrics import samples, total

PADDING = "// " + "so long that its digest is shorter " * 10
PROGRAMS = {
    "well": "x := 1",
    "logs": 'log := import("log"); log.info("one"); log.error("two %d", 3)',
    "fails": "f := func(x) {\n  return 1 / x\n}\nf(0)",
    "broken": "x := ",
    "answers": 'cgi := import("cgi"); cgi.response.status(201); cgi.response.write(cgi.request.body(), "!")',
    "modular": 'log := import("log"); mod := import("mod"); log.info("%d", mod)',
}


def long(code: str) -> str:
    return f"{code}\n{PADDING}\n"


def a_program(code: str, uuid: UUID = UUID_1, domain: str = "test") -> Program:
    made = program(uuid, code=code.encode(), digest=hashlib.sha256(code.encode()).digest(), deadline_ms=5000)
    return replace(made, key=replace(made.key, domain=domain))


class NotedConnections(WorkerConnections):
    """Notes what is sent as a whole."""

    def __init__(self) -> None:
        super().__init__(connect_timeout_seconds=5.0)
        self.sent: list[bytes] = []

    @asynccontextmanager
    async def post(self, url: URL, headers: Mapping[str, str], body: bytes | Parts) -> AsyncIterator[Answer]:
        if isinstance(body, bytes):
            self.sent.append(body)
        async with super().post(url, headers, body) as answer:
            yield answer


class Sender:
    """A dispatcher with a real worker, and what it sends there."""

    def __init__(self, worker: RunningWorker, client: WorkerClient, sent: list[bytes]) -> None:
        workers = WorkerRegistry()
        for subscriber in worker.manager.subscribers.values():
            workers.subscribe(worker_from(Subscriber.model_validate(subscriber), 0.0))
        self._live = LiveRuns()
        self._dispatcher = Dispatcher(
            workers, client, Clock(), lambda _: "", self._live, parallel=10, wait_for_worker_seconds=0
        )
        self._worker = worker
        self._sent = sent

    async def run(self, one: Program, trigger: Trigger = Trigger.SCHEDULE) -> Result:
        call = ProgramCall({}, b"hello", "POST", "/", "", "") if trigger is Trigger.WEBHOOK else None
        run = Run(new_run_id(0), one, trigger, claimed_ms=0, call=call)
        self._live.begin(run.id)
        return await self._dispatcher.attempt(run)

    async def figure(self, name: str) -> float:
        """What the worker tells Prometheus."""
        return (await figures(self._worker))[name]

    def take_forms(self) -> list[str]:
        """How the source code was sent in each task since this was last asked."""
        bodies = [json.loads(body) for body in self._sent if body]
        self._sent.clear()
        tasks = [task for body in bodies for task in body.get("tasks", [body])]
        return [
            "whole" if "source_digest" not in task else "to keep" if task["source_code"] else "digest" for task in tasks
        ]


@asynccontextmanager
async def sender(folder: Path, **settings: str) -> AsyncIterator[Sender]:
    connections = NotedConnections()
    send = Parts.send

    def send_noted(parts: Parts, part: bytes) -> None:
        connections.sent.append(part)
        send(parts, part)

    with patch.object(Parts, "send", send_noted):
        async with _sending(connections, folder, **settings) as made:
            yield made


@asynccontextmanager
async def _sending(connections: NotedConnections, folder: Path, **settings: str) -> AsyncIterator[Sender]:
    async with (
        local_manager() as manager,
        running_worker(folder, manager, **settings) as worker,
        aiohttp.ClientSession() as session,
    ):
        manager.modules["mod"] = {0: "export 42"}
        yield Sender(worker, WorkerClient(session, connections), connections.sent)
        connections.close()


def essence(result: Result) -> object:
    """All of it but for what differs from run to run."""
    ending = result.ending
    log = [(line.level, line.message) for line in ending.log]
    return ending.outcome, ending.reason, ending.error, log, ending.modules, ending.attempts, result.answer


async def test_whatever_a_program_does_its_run_is_the_same_with_its_source_and_with_the_digest(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    keeping, not_keeping = tmp_path_factory.mktemp("keeps"), tmp_path_factory.mktemp("plain")
    async with sender(keeping) as keeps, sender(not_keeping, CACHE__SOURCES_BYTES="0") as plain:
        for name, code in PROGRAMS.items():
            for trigger in (Trigger.SCHEDULE, Trigger.WEBHOOK):
                one = replace(
                    a_program(long(code)), name=f"{name} {trigger}", key=replace(program().key, domain=trigger)
                )
                essences = [essence(await by.run(one, trigger)) for by in (plain, keeps, keeps)]
                assert essences[0] == essences[1] == essences[2], one.name
                assert (plain.take_forms(), keeps.take_forms()) == (["whole"], ["to keep", "digest"])
        assert await keeps.figure("malgomaj_sources_needed_total") == 0
        assert await plain.figure("malgomaj_sources_bytes") == 0


async def test_sources_that_find_no_room_are_asked_for_once_each_and_then_sent_whole(tmp_path: Path) -> None:
    many = [a_program(long(f"x := {number}")) for number in range(5)]
    room = str(2 * len(many[0].code))
    async with sender(tmp_path, CACHE__SOURCES_BYTES=room) as small:
        forms = []
        for _ in range(4):
            for one in many:
                assert (await small.run(one)).ending.outcome is Outcome.SUCCEEDED
            forms.append(small.take_forms())
        assert await small.figure("malgomaj_sources_needed_total") == 3
    to_keep, again, whole, kept = "to keep", ["digest", "whole"], "whole", "digest"
    assert forms[0] == [to_keep] * 5
    assert forms[1] == again * 3 + [kept] * 2
    assert forms[2] == forms[3] == [whole] * 3 + [kept] * 2


async def test_each_domain_is_sent_its_own_and_a_batch_mixes_nothing_up(tmp_path: Path) -> None:
    code = long('log := import("log"); log.info("mine")')
    async with sender(tmp_path) as keeps:
        programs = [a_program(code, uuid, domain) for domain in ("a", "b") for uuid in (UUID_1, UUID_2)]
        programs += [a_program(long(f'log := import("log"); log.info("{number}")')) for number in range(4)]
        for forms in ({"to keep"}, {"digest"}):
            results = await asyncio.gather(*map(keeps.run, programs))
            messages = [[line.message for line in result.ending.log] for result in results]
            assert messages == [["mine"]] * 4 + [[str(number)] for number in range(4)]
            sent = keeps.take_forms()
            assert (len(sent), set(sent)) == (len(programs), forms)
        assert (await keeps.run(a_program(code, domain="c"))).ending.outcome is Outcome.SUCCEEDED
        assert keeps.take_forms() == ["to keep"]


async def test_a_worker_that_was_started_again_is_sent_the_source_again(
    installation: Installation, domain: Domain
) -> None:
    uuid = await domain.add("hello", long('cgi := import("cgi"); cgi.response.write("hello")'))
    _, worker = await installation.start()

    async def call_three_times() -> None:
        for _ in range(3):
            assert (await installation.webhook(uuid)).body == b"hello"
        found = await samples(installation, worker.url)
        assert total(found, "malgomaj_sources_bytes") > len(PADDING)
        assert total(found, "malgomaj_sources_needed_total") == 0
        assert total(found, "malgomaj_tasks_total") == 3

    await call_three_times()
    await worker.kill()
    await worker.start()
    await installation.until_ready()
    await call_three_times()


async def test_a_new_revision_is_what_runs_and_an_older_one_comes_back_by_its_digest(tmp_path: Path) -> None:
    revisions = [a_program(long(f'log := import("log"); log.info("{number}")')) for number in (1, 2, 1)]
    async with sender(tmp_path) as keeps:
        results = [await keeps.run(one) for one in revisions]
        assert [result.ending.log[0].message for result in results] == ["1", "2", "1"]
        assert keeps.take_forms() == ["to keep", "to keep", "digest"]

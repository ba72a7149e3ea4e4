"""Following runs with workers that tell of them late, not at all, or only in part."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from juvuln.live import LiveRuns
from juvuln.run_logs import RunLogs
from juvuln.runs.run import Ending, RecordedRun, Run, Trigger
from juvuln.workers import Worker
from shared.auth import BasicCredentials
from shared.http import listening
from shared.wire import LogLine, Outcome
from tests.juvuln.support import UUID_1, program

RUN = RecordedRun.of(Run("run-1", program(), Trigger.MANUAL, claimed_ms=0), "manager", None)
CREDENTIALS = BasicCredentials("me", "s3cret")
LINES = [LogLine(at_ms=number, level="info", message=f"line {number}") for number in range(3)]
ENDING = Ending(Outcome.SUCCEEDED, ended_ms=1, log=LINES)


class Recorded:
    """Stands for the record: gives the runs that it is told to, one at each look."""

    def __init__(self, *looks: RecordedRun | None) -> None:
        self.looks = list(looks)

    async def get(self, domain: str, run_id: str) -> RecordedRun | None:
        assert (domain, run_id) == ("test", "run-1")
        return self.looks.pop(0)


@dataclass
class FakeWorker:
    """Gives these answers, a status and a body each, and then 404; None breaks the connection in the middle."""

    answers: list[tuple[int, bytes] | None]
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    credentials: set[str | None] = field(default_factory=set)
    port: int = 0

    @property
    def known(self) -> Worker:
        return Worker(UUID_1, f"http://127.0.0.1:{self.port}", CREDENTIALS, frozenset({"tengo"}), 0.0)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.set()
        self.credentials.add(request.headers.get("Authorization"))
        given = self.answers.pop(0) if self.answers else (404, b"")
        if given is not None:
            return web.Response(status=given[0], body=given[1], headers={"Location": "/"})
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(_json(LINES[:1]) + b'{"half')
        assert request.transport is not None
        request.transport.close()
        return response


@asynccontextmanager
async def worker(*answers: tuple[int, bytes] | None) -> AsyncIterator[FakeWorker]:
    fake = FakeWorker(list(answers))
    app = web.Application()
    app.router.add_get("/v1/runs/run-1/log", fake.answer)
    async with listening(app, "127.0.0.1", 0, port_setting="", drain_seconds=0.1) as fake.port:
        yield fake


def _json(lines: list[LogLine]) -> bytes:
    return b"".join(line.model_dump_json().encode() + b"\n" for line in lines)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def logs(live: LiveRuns, session: aiohttp.ClientSession, *looks: RecordedRun | None) -> RunLogs:
    return RunLogs(Recorded(*looks), live, session)


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ([(404, b""), (404, b""), (200, b"\n" + _json(LINES[:2]))], 2),  # the task came late
        ([(200, b"")], 0),
        ([None], 1),
        ([(200, b"nonsense\n")], 0),
        ([(302, b"")], 0),
        ([], 0),  # it knows only the plain contract
    ],
)
async def test_whatever_a_worker_tells_each_line_comes_once_and_in_order(
    session: aiohttp.ClientSession, answers: list[tuple[int, bytes] | None], told: int
) -> None:
    live = LiveRuns()
    live.begin("run-1")
    async with worker(*answers) as fake:
        live.hand_over("run-1", fake.known)
        followed = logs(live, session).follow(RUN)
        received = [await anext(followed) for _ in range(told)]
        rest = asyncio.ensure_future(anext(followed))
        await fake.asked.wait()
        live.end("run-1", ENDING)
        received += [await rest, *[line async for line in followed]]
    assert received == LINES
    assert fake.credentials == {CREDENTIALS.header()}


async def test_a_run_that_moves_on_is_followed_at_its_next_worker(session: aiohttp.ClientSession) -> None:
    live = LiveRuns()
    live.begin("run-1")
    async with worker() as busy, worker((200, _json(LINES[:1]))) as taker:
        live.hand_over("run-1", busy.known)
        followed = logs(live, session).follow(RUN)
        first = asyncio.ensure_future(anext(followed))
        await busy.asked.wait()
        live.hand_over("run-1", taker.known)
        assert await first == LINES[0]
        await followed.aclose()


async def test_a_run_of_another_manager_is_looked_up_in_the_record_until_it_has_ended(
    session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("juvuln.run_logs.POLL_SECONDS", 0.0)
    ended = RecordedRun.of(Run("run-1", program(), Trigger.MANUAL, claimed_ms=0), "other", ENDING)
    assert [line async for line in logs(LiveRuns(), session, RUN, RUN, ended).follow(RUN)] == LINES
    assert [line async for line in logs(LiveRuns(), session, RUN, None).follow(RUN)] == []
    assert [line async for line in logs(LiveRuns(), session).follow(ended)] == LINES
    assert [line async for line in logs(LiveRuns(), session).so_far(ended)] == LINES
    assert [line async for line in logs(LiveRuns(), session).so_far(RUN)] == []

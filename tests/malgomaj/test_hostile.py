"""Every hostile program is answered in time and in the right words, and neither neighbours nor the worker feel it."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.malgomaj.hostile.programs import Hostile, hostile_programs
from tests.malgomaj.hostile.server import hostile_server
from tests.malgomaj.manager import local_manager
from tests.malgomaj.worker import RunningWorker, call, running_worker

DEADLINE_MS = 600
GRACE_SECONDS = 0.5
NAMES = [program.name for program in hostile_programs("")]
HELLO = 'cgi := import("cgi"); cgi.response.write("hello")'
BESIDE = 'times := import("times"); for i := 0; i < 20; i++ { times.sleep(10 * times.millisecond) }'
PATIENT: dict[str, str] = {
    # As many crashes as these programs cause would slow their domain down.
    "EXECUTORS__CRASHES_FORGIVEN": "1000000",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hostile_worker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningWorker]:
    """One worker for all of them, as it would be in a bad week."""
    async with (
        local_manager() as manager,
        running_worker(tmp_path_factory.mktemp("hostile"), manager, **PATIENT) as worker,
    ):
        yield worker


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[str]:
    async with hostile_server() as url:
        yield url


async def run(worker: RunningWorker, program: Hostile, **fields: Any) -> dict[str, Any]:
    """The report of a hostile program; its modules are made known to the library first."""
    for name, source in program.modules.items():
        worker.manager.modules[name] = {0: source}
    return await worker.report(program.source, **{"deadline": DEADLINE_MS, **program.fields, **fields})


def end_of(report: dict[str, Any]) -> str:
    return "succeeded" if report["error"] is None else str(report["error"]["kind"])


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", NAMES)
async def test_a_hostile_program_is_answered_and_nobody_else_feels_it(
    hostile_worker: RunningWorker, server: str, name: str
) -> None:
    worker = hostile_worker
    (program,) = (each for each in hostile_programs(server) if each.name == name)
    assert (await worker.run(HELLO, domain="neighbour", http=call())).body == b"hello"
    beside = asyncio.create_task(worker.report(BESIDE, deadline=10_000, retry=True))
    began = time.monotonic()
    hostile = asyncio.create_task(run(worker, program))
    while not hostile.done():
        assert (await worker.run(HELLO, domain="neighbour", http=call())).body == b"hello"
    took = time.monotonic() - began
    report = await hostile
    assert end_of(report) in program.ends, report["error"]
    assert took < DEADLINE_MS / 1000 + GRACE_SECONDS
    assert program.message in (report["error"] or {}).get("message", "")
    assert len((report["error"] or {}).get("message", "")) < 20_000
    assert (await beside)["outcome"] == "succeeded"
    began = time.monotonic()
    assert (await worker.run("x := 1")).status == 200
    assert time.monotonic() - began < 1


@pytest.mark.asyncio(loop_scope="module")
async def test_the_kinds_are_told_by_hostile_programs_that_were_retried(hostile_worker: RunningWorker) -> None:
    report = await hostile_worker.report("for {}", deadline=100, retry=True)
    assert end_of(report) == "deadline"

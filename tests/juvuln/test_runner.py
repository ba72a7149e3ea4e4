"""A claimed run to the end of its record, with attempts that the test plays."""

import asyncio

import pytest

from juvuln.clock import Clock, new_run_id
from juvuln.dispatch import Result
from juvuln.live import LiveRuns
from juvuln.runner import Runner
from juvuln.runs.run import Ending, Run, Trigger
from shared.wire import Outcome, TaskAnswer, TaskRequest
from tests.juvuln.support import program


class Notes:
    """Stands for the record: keeps what it is told."""

    def __init__(self) -> None:
        self.closed: list[tuple[str, Ending]] = []

    def close(self, run: Run, ending: Ending) -> None:
        self.closed.append((run.id, ending))


class Played:
    """Stands for the dispatcher: each attempt ends as the next of ``endings`` says; None hangs."""

    def __init__(self, *endings: Ending | Exception | None) -> None:
        self.endings = list(endings)
        self.waiting = asyncio.Event()

    async def attempt(self, run: Run, request: TaskRequest | None = None) -> Result:
        ending = self.endings.pop(0)
        if isinstance(ending, Exception):
            raise ending
        if ending is None:
            self.waiting.set()
            await asyncio.Event().wait()
            raise AssertionError
        return Result(ending, TaskAnswer(status=201, body=b"four") if request else None)


def a_run() -> Run:
    return Run(new_run_id(0), program(), Trigger.SCHEDULE, claimed_ms=0)


async def test_a_run_is_closed_with_its_ending_and_the_sizes_of_what_went_in_and_out() -> None:
    notes, run = Notes(), a_run()
    runner = Runner(Played(Ending(Outcome.SUCCEEDED, ended_ms=1)), notes, Clock(), LiveRuns())
    result = await runner.execute(run, TaskRequest(body=b"one"))
    assert notes.closed == [(run.id, result.ending)]
    assert (result.ending.request_bytes, result.ending.answer_bytes, result.ending.answer_status) == (3, 4, 201)


async def test_a_run_that_is_cancelled_is_on_record_as_lost() -> None:
    notes, played = Notes(), Played(None)
    running = asyncio.create_task(Runner(played, notes, Clock(), LiveRuns()).execute(a_run()))
    await played.waiting.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    ((_, ending),) = notes.closed
    assert ending.outcome is Outcome.LOST


async def test_a_fault_of_the_manager_loses_the_run_and_closes_its_record() -> None:
    notes = Notes()
    await Runner(Played(RuntimeError("oops")), notes, Clock(), LiveRuns()).execute(a_run())
    ((_, ending),) = notes.closed
    assert (ending.outcome, ending.reason) == (Outcome.LOST, "internal error of the manager; its log has the details")

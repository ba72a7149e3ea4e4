"""A claimed run to the end of its record, with attempts that the test plays."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from juvuln.clock import Clock, new_run_id
from juvuln.dispatch import Result
from juvuln.failures import Failures
from juvuln.live import LiveRuns
from juvuln.policy import Retry
from juvuln.programs import Program
from juvuln.runner import Runner
from juvuln.runs.run import Ending, PastEnding, Run, Trigger
from juvuln.workers import Worker
from shared.wire import ErrorKind, Outcome, ProgramError, TaskAnswer
from tests.juvuln.support import CALL, UUID_1, program


class Notes:
    """Stands for the record: keeps what it is told."""

    def __init__(self) -> None:
        self.closed: list[tuple[str, Ending]] = []

    def close(self, run: Run, ending: Ending) -> None:
        self.closed.append((run.id, ending))

    async def past(self, program: Program, outcomes: Iterable[Outcome], limit: int) -> Sequence[PastEnding]:
        endings = [ending for _, ending in reversed(self.closed) if ending.outcome in outcomes]
        return [PastEnding(ending.outcome, program.revision, ending.reason) for ending in endings[:limit]]


class Played:
    """Stands for the dispatcher: each attempt ends as the next of ``endings`` says; None hangs."""

    def __init__(self, *endings: Ending | Exception | None) -> None:
        self.endings = list(endings)
        self.waiting = asyncio.Event()

    async def attempt(self, run: Run) -> Result:
        ending = self.endings.pop(0)
        if isinstance(ending, Exception):
            raise ending
        if ending is None:
            self.waiting.set()
            await asyncio.Event().wait()
            raise AssertionError
        return Result(ending, TaskAnswer(status=201, body=b"four") if run.call else None)

    async def end(self, run: Run, worker: Worker) -> bool:
        raise AssertionError("no worker has it")


class PlayedWorker(Played):
    """The same, with a worker that has the first attempt until the test says how it ended.

    It is told to end it ``tells`` times in vain, and then does so with ``last_word``, unless it ``cannot`` be told.
    """

    worker = Worker(UUID_1, "http://localhost", None, frozenset({"tengo"}), 0.0)

    def __init__(self, live: LiveRuns, *endings: Ending, tells: int = 0, cannot: bool = False) -> None:
        super().__init__(*endings)
        self.live = live
        self.tells, self.cannot = tells, cannot
        self.told = asyncio.Event()
        self.last_word = CANCELLED
        self.ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()

    async def attempt(self, run: Run) -> Result:
        if self.ended.done():
            return await super().attempt(run)
        self.live.hand_over(run.id, self.worker)
        self.waiting.set()
        result = Result(await self.ended)
        self.live.take_back(run.id, begun=True)
        return result

    async def end(self, run: Run, worker: Worker) -> bool:
        assert worker is self.worker
        self.told.set()
        self.tells -= 1
        if self.cannot or self.tells >= 0:
            return False
        self.ended.set_result(self.last_word)
        return True


def a_run(**changes: Any) -> Run:
    return Run(new_run_id(0), program(), Trigger.SCHEDULE, claimed_ms=0)._replace(**changes)


def failing(count: int = 1, **changes: Any) -> list[Ending]:
    return [Ending(Outcome.FAILED, ended_ms=1, reason="oh no")._replace(**changes)] * count


CANCELLED = Ending(Outcome.CANCELLED, ended_ms=1, worker="localhost")
SUCCESS = Ending(Outcome.SUCCEEDED, ended_ms=2)
THREE_MORE = Retry(3, backoff_seconds=0.001)


def a_runner(
    played: Played, notes: Notes, given_up: list[Program] | None = None, live: LiveRuns | None = None
) -> Runner:
    async def set_failed(program: Program) -> bool:
        assert given_up is not None
        given_up.append(program)
        return True

    return Runner(
        played,
        notes,
        Clock(),
        LiveRuns() if live is None else live,
        Failures(notes.past, set_failed),
        lambda: 0.0,
        lambda _: None,
    )


async def test_a_run_is_closed_with_its_ending_and_the_size_of_what_it_was_asked_even_if_no_worker_took_it() -> None:
    notes, run = Notes(), a_run()
    runner = a_runner(Played(Ending(Outcome.SKIPPED, ended_ms=1)), notes)
    result = await runner.execute(run._replace(call=CALL._replace(body=b"one")))
    assert notes.closed == [(run.id, result.ending)]
    assert (result.ending.request_bytes, result.ending.answer_bytes, result.ending.answer_status) == (3, None, None)


@pytest.mark.parametrize("handed_over", [False, True])
async def test_a_run_that_is_cut_off_is_on_record_as_lost_only_if_it_was_handed_to_a_worker(handed_over: bool) -> None:
    notes, played, live, run = Notes(), Played(None), LiveRuns(), a_run()
    running = asyncio.create_task(a_runner(played, notes, live=live).execute(run))
    await played.waiting.wait()
    if handed_over:
        live.hand_over(run.id, Worker(UUID_1, "http://localhost", None, frozenset({"tengo"}), 0.0))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    ((_, ending),) = notes.closed
    assert ending.outcome is (Outcome.LOST if handed_over else Outcome.SKIPPED)


async def test_a_run_whose_end_is_known_is_on_record_with_it_though_its_program_cannot_be_given_up_in_time() -> None:
    notes, asked = Notes(), asyncio.Event()

    async def hang(_: Program) -> bool:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    runner = Runner(
        Played(*failing()), notes, Clock(), LiveRuns(), Failures(notes.past, hang), lambda: 0.0, lambda _: None
    )
    running = asyncio.create_task(runner.execute(a_run(failures_limit=1)))
    await asked.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [ending for _, ending in notes.closed] == failing()


async def test_a_fault_of_the_manager_loses_the_run_and_closes_its_record() -> None:
    notes = Notes()
    await a_runner(Played(RuntimeError("oops")), notes).execute(a_run())
    ((_, ending),) = notes.closed
    assert (ending.outcome, ending.reason) == (Outcome.LOST, "internal error of the manager; its log has the details")


async def test_a_run_is_repeated_until_it_ends_well_and_its_record_tells_of_all_attempts() -> None:
    notes = Notes()
    await a_runner(Played(*failing(2), SUCCESS), notes).execute(a_run(retry=THREE_MORE))
    ((_, ending),) = notes.closed
    assert (ending.outcome, ending.attempts) == (Outcome.SUCCEEDED, 3)
    assert ending.reason == "attempt 3 of 4; attempt 1: failed: oh no; attempt 2: failed: oh no"


async def test_a_run_is_repeated_no_more_often_than_is_said() -> None:
    notes, played = Notes(), Played(*failing(5))
    await a_runner(played, notes).execute(a_run(retry=THREE_MORE))
    ((_, ending),) = notes.closed
    assert (ending.outcome, ending.attempts, len(played.endings)) == (Outcome.FAILED, 4, 1)
    assert (ending.reason or "").startswith("oh no (attempt 4 of 4; attempt 1: failed: oh no; attempt 2")


async def test_a_repetition_that_no_worker_takes_does_not_hide_that_the_run_was_begun() -> None:
    notes, nobody = Notes(), Ending(Outcome.SKIPPED, ended_ms=1, reason="no worker")
    await a_runner(Played(*failing(), nobody, nobody, nobody), notes).execute(a_run(retry=THREE_MORE))
    ((_, ending),) = notes.closed
    assert (ending.outcome, ending.attempts) == (Outcome.FAILED, 1)
    assert (ending.reason or "").startswith("oh no (attempt 1 of 4; attempt 2: skipped: no worker; attempt 3: skipped")


async def test_a_run_is_repeated_again_after_a_repetition_that_no_worker_took() -> None:
    notes, nobody = Notes(), Ending(Outcome.SKIPPED, ended_ms=1, reason="no worker")
    await a_runner(Played(*failing(), nobody, SUCCESS), notes).execute(a_run(retry=THREE_MORE))
    ((_, ending),) = notes.closed
    assert (ending.outcome, ending.attempts) == (Outcome.SUCCEEDED, 2)
    assert ending.reason == "attempt 3 of 4; attempt 1: failed: oh no; attempt 2: skipped: no worker"


@pytest.mark.parametrize(
    "ending",
    [
        Ending(Outcome.LOST, ended_ms=1),
        Ending(Outcome.SKIPPED, ended_ms=1),
        Ending(Outcome.MISSED, ended_ms=1),
        *failing(error=ProgramError(kind=ErrorKind.COMPILE, message="no")),
    ],
)
async def test_what_may_have_run_did_not_run_or_cannot_run_is_not_repeated(ending: Ending) -> None:
    notes = Notes()
    await a_runner(Played(ending), notes).execute(a_run(retry=THREE_MORE))
    assert [closed for _, closed in notes.closed] == [ending]


async def test_a_lost_run_is_repeated_where_that_is_asked_for() -> None:
    notes = Notes()
    retry = replace(THREE_MORE, outcomes=frozenset({Outcome.LOST}))
    await a_runner(Played(Ending(Outcome.LOST, ended_ms=1), SUCCESS), notes).execute(a_run(retry=retry))
    assert [ending.outcome for _, ending in notes.closed] == [Outcome.SUCCEEDED]


async def test_a_run_between_two_attempts_ends_when_the_manager_is_stopped() -> None:
    notes, played = Notes(), Played(*failing())
    runner = a_runner(played, notes)
    running = asyncio.create_task(runner.execute(a_run(retry=Retry(3, backoff_seconds=600))))
    await asyncio.sleep(0)
    runner.stop()
    async with asyncio.timeout(5):
        await running
    ((_, ending),) = notes.closed
    assert ending.outcome is Outcome.FAILED
    assert ending.reason == "oh no (attempt 1 of 4, not repeated: the manager was stopped)"


async def test_a_run_whose_program_was_mended_meanwhile_is_not_repeated() -> None:
    notes, mended = Notes(), "the program has new code"
    failures = Failures(notes.past, lambda _: asyncio.sleep(0, result=True))
    runner = Runner(Played(*failing(2)), notes, Clock(), LiveRuns(), failures, lambda: 0.0, lambda _: mended)
    await runner.execute(a_run(retry=THREE_MORE))
    ((_, ending),) = notes.closed
    assert (ending.outcome, ending.attempts) == (Outcome.FAILED, 1)
    assert ending.reason == "oh no (attempt 1 of 4, not repeated: the program has new code)"


async def test_a_run_that_is_cancelled_by_name_is_closed_as_such_and_its_task_goes_on() -> None:
    notes, played, run = Notes(), Played(None), a_run()
    runner = a_runner(played, notes)
    running = asyncio.create_task(runner.execute(run))
    await played.waiting.wait()
    runner.cancel(run.id, "replaced")
    assert (await running).ending.outcome is Outcome.CANCELLED
    runner.cancel(run.id, "too late")
    ((_, ending),) = notes.closed
    assert (ending.outcome, ending.reason) == (Outcome.CANCELLED, "replaced")


async def test_a_run_that_is_withdrawn_ends_if_no_worker_has_begun_it_and_else_goes_on() -> None:
    notes, played, run = Notes(), Played(None), a_run()
    runner = a_runner(played, notes)
    running = asyncio.create_task(runner.execute(run))
    await played.waiting.wait()
    runner.withdraw(run.id, "taken away")
    assert (await running).ending.reason == "taken away"
    live = LiveRuns()
    begun, run = PlayedWorker(live), a_run()
    runner = a_runner(begun, notes, live=live)
    running = asyncio.create_task(runner.execute(run))
    await begun.waiting.wait()
    runner.withdraw(run.id, "taken away")
    begun.ended.set_result(SUCCESS)
    assert (await running).ending == SUCCESS


async def test_a_repetition_waits_for_no_time_and_has_no_start_deadline() -> None:
    asked: list[Run] = []

    class Asking(Played):
        async def attempt(self, run: Run) -> Result:
            asked.append(run)
            return await super().attempt(run)

    runner = a_runner(Asking(*failing(1), SUCCESS), Notes())
    await runner.execute(a_run(retry=THREE_MORE, not_before_ms=1000, start_by_ms=2000))
    assert [(run.not_before_ms, run.start_by_ms) for run in asked] == [(1000, 2000), (None, None)]


async def replaced(played: PlayedWorker, **changes: Any) -> Ending:
    """How a run is recorded that a newer one replaced while the worker had it."""
    notes, run = Notes(), a_run(**changes)
    runner = a_runner(played, notes, live=played.live)
    running = asyncio.create_task(runner.execute(run))
    await played.waiting.wait()
    runner.cancel(run.id, "replaced")
    await played.told.wait()
    if played.cannot:
        played.ended.set_result(played.endings.pop(0))  # type: ignore[arg-type]
    await running
    ((_, ending),) = notes.closed
    return ending


@pytest.mark.parametrize("tells", [0, 1])
async def test_a_run_that_a_worker_has_ends_when_the_worker_says_so(tells: int) -> None:
    ending = await replaced(PlayedWorker(LiveRuns(), tells=tells), retry=THREE_MORE)
    assert (ending.outcome, ending.reason, ending.worker) == (Outcome.CANCELLED, "replaced", "localhost")


@pytest.mark.parametrize(
    ("own", "reason"),
    [
        (SUCCESS, None),
        (Ending(Outcome.LOST, ended_ms=1, reason="silence"), "silence (replaced)"),
        (*failing(), "oh no (attempt 1 of 4, not repeated: replaced)"),
    ],
)
async def test_a_run_whose_worker_cannot_be_told_to_end_it_goes_to_its_end_and_is_not_repeated(
    own: Ending, reason: str | None
) -> None:
    ending = await replaced(PlayedWorker(LiveRuns(), own, cannot=True), retry=THREE_MORE)
    assert (ending.outcome, ending.reason) == (own.outcome, reason)


async def test_what_replaces_a_run_that_failed_as_it_was_ended_does_not_wait_for_the_pause_before_its_repetition() -> (
    None
):
    played = PlayedWorker(LiveRuns())
    (played.last_word,) = failing()
    async with asyncio.timeout(5):
        ending = await replaced(played, retry=Retry(3, backoff_seconds=600))
    assert (ending.outcome, ending.reason) == (Outcome.FAILED, "oh no (attempt 1 of 4, not repeated: replaced)")


async def test_a_run_that_is_replaced_between_two_attempts_keeps_the_ending_of_the_first() -> None:
    notes, run = Notes(), a_run(retry=Retry(3, backoff_seconds=600))
    runner = a_runner(Played(*failing()), notes)
    running = asyncio.create_task(runner.execute(run))
    await asyncio.sleep(0)
    runner.cancel(run.id, "replaced")
    await running
    ((_, ending),) = notes.closed
    assert (ending.outcome, ending.reason) == (Outcome.FAILED, "oh no (attempt 1 of 4, not repeated: replaced)")


async def test_a_run_whose_worker_is_asked_to_end_it_is_lost_when_the_manager_ends() -> None:
    notes, run, played = Notes(), a_run(), PlayedWorker(LiveRuns(), cannot=True)
    runner = a_runner(played, notes, live=played.live)
    running = asyncio.create_task(runner.execute(run))
    await played.waiting.wait()
    runner.cancel(run.id, "replaced")
    await played.told.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [ending.outcome for _, ending in notes.closed] == [Outcome.LOST]


async def test_a_program_that_fails_so_often_in_a_row_is_set_to_failed_and_the_last_record_says_so() -> None:
    notes, given_up = Notes(), list[Program]()
    runner = a_runner(Played(*failing(), SUCCESS, *failing(3)), notes, given_up)
    for _ in range(4):
        await runner.execute(a_run(failures_limit=3))
    assert given_up == []
    await runner.execute(a_run(failures_limit=3))
    assert given_up == [program()]
    expected = "oh no (it failed 3 times in a row, so the program's state was set to failed)"
    assert notes.closed[-1][1].reason == expected

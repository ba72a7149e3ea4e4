"""What becomes of a run that comes while an earlier one of its routine is under way."""

import asyncio
from datetime import UTC

import pytest

from juvuln.clock import Clock, new_run_id
from juvuln.policy import Overlap, Policy
from juvuln.programs import ProgramKey
from juvuln.routine import Planning, Routine
from juvuln.routine_runs import RoutineRuns
from juvuln.runs.run import Ending, Run, Trigger
from shared.wire import Outcome
from tests.juvuln.support import program


class PlayedRuns:
    """Stands for the runner: a run ends when the test says so, or is cancelled."""

    def __init__(self) -> None:
        self.under_way: dict[str, asyncio.Future[None]] = {}
        self.outcomes: dict[str, tuple[Outcome, str | None]] = {}
        self.order: list[str] = []
        self.start_by_ms: dict[str, int | None] = {}

    async def execute(self, run: Run) -> None:
        ended = self.under_way[run.id] = asyncio.get_running_loop().create_future()
        self.order.append(run.id)
        self.start_by_ms[run.id] = run.start_by_ms
        try:
            await ended
            self.close(run, Ending(Outcome.SUCCEEDED, ended_ms=0))
        except ValueError as cancelled:
            self.close(run, Ending(Outcome.CANCELLED, ended_ms=0, reason=str(cancelled)))
        except asyncio.CancelledError:
            self.close(run, Ending(Outcome.LOST, ended_ms=0))
            raise
        finally:
            del self.under_way[run.id]

    def cancel(self, run_id: str, reason: str) -> None:
        if run_id in self.under_way:
            self.under_way[run_id].set_exception(ValueError(reason))

    withdraw = cancel

    def close(self, run: Run, ending: Ending) -> None:
        assert run.id not in self.outcomes, "a run ends once"
        self.outcomes[run.id] = (ending.outcome, ending.reason)

    def stop(self) -> None:
        pass

    async def end(self, run: Run) -> None:
        self.under_way[run.id].set_result(None)
        await settle()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def routine(overlap: Overlap, limit: int = 10) -> Routine:
    return Planning(UTC, {}, Policy(overlap=overlap, overlap_limit=limit)).routine(program())


def free(key: ProgramKey) -> str | None:
    """Nothing hinders a run."""
    return None


def a_run(due_ms: int) -> Run:
    return Run(new_run_id(due_ms), program(), Trigger.SCHEDULE, claimed_ms=due_ms, due_ms=due_ms)


ONE, TWO, THREE, FOUR = (a_run(number * 1000) for number in range(1, 5))


@pytest.fixture
def played() -> PlayedRuns:
    return PlayedRuns()


@pytest.fixture
def runs(played: PlayedRuns) -> RoutineRuns:
    return RoutineRuns(played, Clock())


async def test_skip_lets_nothing_begin_beside_a_run(played: PlayedRuns, runs: RoutineRuns) -> None:
    assert runs.reason_to_skip(routine(Overlap.SKIP)) is None
    runs.start(routine(Overlap.SKIP), [ONE], free)
    assert ONE.id in (runs.reason_to_skip(routine(Overlap.SKIP)) or "")
    await settle()
    await played.end(ONE)
    assert runs.reason_to_skip(routine(Overlap.SKIP)) is None


async def test_queue_keeps_the_latest_and_skips_the_one_that_waited_before(
    played: PlayedRuns, runs: RoutineRuns
) -> None:
    for run in (ONE, TWO, THREE):
        assert runs.reason_to_skip(routine(Overlap.QUEUE)) is None
        runs.start(routine(Overlap.QUEUE), [run], free)
    await settle()
    assert played.order == [ONE.id]
    outcome, reason = played.outcomes[TWO.id]
    assert outcome is Outcome.SKIPPED
    assert THREE.id in (reason or "")
    await played.end(ONE)
    assert played.order == [ONE.id, THREE.id]
    await played.end(THREE)
    await runs.finished()


async def test_queue_takes_no_turn_from_runs_that_are_made_up_for(played: PlayedRuns, runs: RoutineRuns) -> None:
    made_up = TWO._replace(made_up=True, start_by_ms=1)
    runs.start(routine(Overlap.QUEUE), [ONE], free)
    runs.start(routine(Overlap.QUEUE), [made_up, THREE], free)
    runs.start(routine(Overlap.QUEUE), [FOUR], free)
    assert played.outcomes.keys() == {THREE.id}
    await settle()
    for run in (ONE, made_up, FOUR):
        await played.end(run)
    await runs.finished()
    assert played.order == [ONE.id, TWO.id, FOUR.id]
    assert (played.start_by_ms[TWO.id] or 0) > Clock().now_ms()


async def test_allow_runs_side_by_side_up_to_the_limit(played: PlayedRuns, runs: RoutineRuns) -> None:
    for run in (ONE, TWO):
        assert runs.reason_to_skip(routine(Overlap.ALLOW, 2)) is None
        runs.start(routine(Overlap.ALLOW, 2), [run], free)
    await settle()
    assert set(played.under_way) == {ONE.id, TWO.id}
    assert runs.reason_to_skip(routine(Overlap.ALLOW, 2)) == "2 runs are under way, as many as may be"
    await played.end(TWO)
    assert runs.reason_to_skip(routine(Overlap.ALLOW, 2)) is None
    await played.end(ONE)


async def test_replace_cancels_the_older_run_and_begins_when_it_has_ended(
    played: PlayedRuns, runs: RoutineRuns
) -> None:
    runs.start(routine(Overlap.REPLACE), [ONE], free)
    await settle()
    runs.start(routine(Overlap.REPLACE), [TWO], free)
    assert played.order == [ONE.id]
    await settle()
    outcome, reason = played.outcomes[ONE.id]
    assert outcome is Outcome.CANCELLED
    assert TWO.id in (reason or "")
    assert set(played.under_way) == {TWO.id}
    await played.end(TWO)


async def test_a_run_that_is_replaced_before_it_began_is_not_begun(played: PlayedRuns, runs: RoutineRuns) -> None:
    for run in (ONE, TWO, THREE):
        runs.start(routine(Overlap.REPLACE), [run], free)
    await settle()
    assert THREE.id in played.under_way
    assert {played.outcomes[run.id][0] for run in (ONE, TWO)} == {Outcome.CANCELLED}
    await played.end(THREE)


async def test_runs_that_are_made_up_for_come_one_after_another(played: PlayedRuns, runs: RoutineRuns) -> None:
    runs.start(routine(Overlap.SKIP), [ONE, TWO, THREE], free)
    await settle()
    assert played.order == [ONE.id]
    await played.end(ONE)
    assert TWO.id in (runs.reason_to_skip(routine(Overlap.SKIP)) or "")
    await played.end(TWO)
    await played.end(THREE)
    assert played.order == [ONE.id, TWO.id, THREE.id]
    assert runs.reason_to_skip(routine(Overlap.SKIP)) is None


async def test_the_start_deadline_of_a_run_that_is_made_up_for_begins_when_its_turn_comes(
    played: PlayedRuns, runs: RoutineRuns
) -> None:
    passed = [run._replace(start_by_ms=1) for run in (ONE, TWO)]
    runs.start(routine(Overlap.SKIP), passed, free)
    await settle()
    await played.end(ONE)
    assert played.start_by_ms[ONE.id] == 1
    assert (played.start_by_ms[TWO.id] or 0) > Clock().now_ms()
    await played.end(TWO)


@pytest.mark.parametrize("overlap", [Overlap.QUEUE, Overlap.SKIP])
async def test_a_run_whose_program_is_paused_when_its_turn_comes_is_not_begun(
    played: PlayedRuns, runs: RoutineRuns, overlap: Overlap
) -> None:
    reasons: list[str] = []

    def hindrance(key: ProgramKey) -> str | None:
        return reasons[0] if reasons else None

    first, later = ([ONE], [TWO, THREE]) if overlap is Overlap.QUEUE else ([ONE, TWO, THREE], [])
    runs.start(routine(overlap), first, hindrance)
    if later:
        runs.start(routine(overlap), later, hindrance)
    await settle()
    reasons.append("paused")
    await played.end(ONE)
    await runs.finished()
    assert played.order == [ONE.id]
    assert [played.outcomes[run.id] for run in (TWO, THREE)] == [(Outcome.SKIPPED, "paused")] * 2


async def test_what_waits_when_the_manager_is_stopped_is_skipped_and_what_runs_goes_on(
    played: PlayedRuns, runs: RoutineRuns
) -> None:
    runs.start(routine(Overlap.QUEUE), [ONE, TWO], free)
    runs.start(routine(Overlap.QUEUE), [THREE], free)
    await settle()
    runs.stop()
    runs.start(routine(Overlap.QUEUE), [FOUR], free)
    await played.end(ONE)
    await runs.finished()
    outcomes = [played.outcomes[run.id][0] for run in (ONE, TWO, THREE, FOUR)]
    assert outcomes == [Outcome.SUCCEEDED, Outcome.SKIPPED, Outcome.SKIPPED, Outcome.SKIPPED]


async def test_cancelling_all_closes_every_run(played: PlayedRuns, runs: RoutineRuns) -> None:
    runs.start(routine(Overlap.ALLOW), [ONE, TWO], free)
    await settle()
    runs.start(routine(Overlap.ALLOW), [THREE], free)
    await runs.cancel()
    assert [played.outcomes[run.id][0] for run in (ONE, TWO)] == [Outcome.LOST, Outcome.SKIPPED]
    assert THREE.id in played.outcomes

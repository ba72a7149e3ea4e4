"""Whatever happens to the clock, the record, the runs and the manager, each due time has one record with one outcome.

The real scheduler is stepped through made-up histories; record and runs are played, so that nothing waits.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC

from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy, booleans, integers, lists, one_of, sampled_from, tuples

from juvuln.clock import Clock, from_ms, to_ms
from juvuln.database import DatabaseError
from juvuln.policy import Missed, Overlap, Policy
from juvuln.programs import Changes
from juvuln.routine import Planning, Routine
from juvuln.routine_runs import RoutineRuns
from juvuln.runs.run import Ending, Run
from juvuln.schedule import parse_schedule
from juvuln.scheduler import Scheduler
from shared.wire import Outcome
from tests.juvuln.support import UUID_1, program

T0_MS = 1_700_000_000_000


@dataclass
class World:
    """What outlives a manager: the time, and the record."""

    now_ms: int = T0_MS
    latest_ms: int = T0_MS
    rows: dict[int, Run] = field(default_factory=dict)
    """By due time."""
    endings: dict[str, Ending] = field(default_factory=dict)
    failing: bool = False
    paused: bool = False
    executed: list[Run] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class WorldClock(Clock):
    world: World

    def now_ms(self) -> int:
        return self.world.now_ms


class PlayedRecord:
    def __init__(self, world: World) -> None:
        self.world = world

    async def claim(self, claimed: Sequence[Run], ended: Sequence[tuple[Run, Ending]] = ()) -> set[str]:
        if self.world.failing:
            raise DatabaseError("record", "away")
        added = set()
        for run, ending in [*((run, None) for run in claimed), *ended]:
            assert run.due_ms is not None
            if run.due_ms not in self.world.rows:
                self.world.rows[run.due_ms] = run
                added.add(run.id)
                if ending is not None:
                    self.world.endings[run.id] = ending
        return added


class PlayedRuns:
    def __init__(self, world: World) -> None:
        self.world = world
        self.under_way: dict[str, asyncio.Future[Outcome]] = {}

    async def execute(self, run: Run) -> None:
        self.world.executed.append(run)
        self.under_way[run.id] = asyncio.get_running_loop().create_future()
        try:
            outcome = await self.under_way[run.id]
        except asyncio.CancelledError:
            self.close(run, Ending(Outcome.LOST, ended_ms=0))
            raise
        finally:
            del self.under_way[run.id]
        self.close(run, Ending(outcome, ended_ms=0))

    def cancel(self, run_id: str, reason: str) -> None:
        ended = self.under_way.get(run_id)
        if ended is not None and not ended.done():
            ended.set_result(Outcome.CANCELLED)

    withdraw = cancel

    def close(self, run: Run, ending: Ending) -> None:
        assert run.id not in self.world.endings, "a run ends once"
        self.world.endings[run.id] = ending

    def stop(self) -> None:
        pass

    def end_all(self) -> None:
        for ended in self.under_way.values():
            if not ended.done():
                ended.set_result(Outcome.SUCCEEDED)


class Manager:
    """One life of it."""

    def __init__(self, world: World, schedule: str, policy: Policy) -> None:
        clock, self.played = WorldClock(world), PlayedRuns(world)
        self.runs = RoutineRuns(self.played, clock)

        def pause(_: Routine) -> str | None:
            return "paused" if world.paused else None

        planning = Planning(UTC, {}, policy)
        record = PlayedRecord(world)
        self.scheduler = Scheduler(record, self.runs, lambda _: None, pause, clock, planning)  # type: ignore[arg-type]
        seen_to = {UUID_1: max(world.rows, default=T0_MS)}
        self.scheduler.update(Changes(added=(program(schedule=schedule),)), seen_to)

    async def step(self) -> None:
        for _ in range(3):
            await self.scheduler.step()
            for _ in range(6):
                await asyncio.sleep(0)


Happening = tuple[str, int]


def happenings() -> SearchStrategy[list[Happening]]:
    passes = tuples(sampled_from(["pass"]), integers(1, 20_000))
    jumps = tuples(sampled_from(["jump"]), one_of(integers(-7_200_000, 7_200_000), integers(-30_000, 30_000)))
    others = tuples(sampled_from(["end", "kill", "stop", "fail", "pause"]), integers(0, 0))
    return lists(one_of(passes, passes, jumps, others), max_size=25)


async def live(world: World, schedule: str, policy: Policy, history: Sequence[Happening]) -> None:
    """A history to its end, after which everything comes to rest."""
    manager = Manager(world, schedule, policy)
    for what, number in [*history, ("rest", 0)]:
        if what in ("pass", "jump"):
            world.now_ms += number
            world.latest_ms = max(world.latest_ms, world.now_ms)
        elif what == "end":
            manager.played.end_all()
        elif what in ("fail", "pause"):
            world.failing, world.paused = world.failing ^ (what == "fail"), world.paused ^ (what == "pause")
        if what in ("kill", "stop", "rest"):
            if what == "rest":
                world.failing = world.paused = False
                world.now_ms = world.latest_ms = world.latest_ms + 120_000
                await manager.step()
            if what == "kill":
                await manager.runs.cancel()  # as the next life closes what this one left open
            manager.scheduler.stop()
            while manager.played.under_way:
                manager.played.end_all()
                await asyncio.sleep(0)
            await manager.runs.finished()
            manager = Manager(world, schedule, policy)
        if not (world.failing and what == "rest"):
            await manager.step()
    manager.scheduler.stop()
    while manager.played.under_way:
        manager.played.end_all()
        await asyncio.sleep(0)
    await manager.runs.finished()


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    history=happenings(),
    schedule=sampled_from(["*/5 * * * * *", "@every 7s", "0 * * * * *", "0 0 12 * * *", "*/20 30 5,22,23 * * *"]),
    overlap=sampled_from(list(Overlap)),
    missed=sampled_from(list(Missed)),
    jitter=booleans(),
)
async def test_each_due_time_has_one_record_with_one_outcome(
    history: list[Happening], schedule: str, overlap: Overlap, missed: Missed, jitter: bool
) -> None:
    world = World()
    policy = Policy(overlap, 2, missed, 3, jitter_seconds=10.0 if jitter else 0.0)
    await live(world, schedule, policy, history)
    assert {run.id for run in world.rows.values()} == world.endings.keys()
    executed = [run.id for run in world.executed]
    assert len(set(executed)) == len(executed)
    seen: set[int] = set()
    for due_ms, run in world.rows.items():
        mark_ms = due_ms % 1000
        due: int | None = run.first_due_ms or due_ms
        while due is not None and due <= due_ms:
            # Each due time is in one record only, and none is made up.
            assert due not in seen
            seen.add(due)
            upcoming = parse_schedule(schedule, UTC).next_after(from_ms(due - mark_ms))
            due = None if upcoming is None else to_ms(upcoming) + mark_ms
        assert due_ms in seen
    if schedule.startswith("@"):
        return  # its due times count from the one before
    seconds = {due // 1000 for due in seen}
    expected = T0_MS
    for _ in range(100_000):
        following = parse_schedule(schedule, UTC).next_after(from_ms(expected))
        assert following is not None
        expected = to_ms(following)
        if expected > world.latest_ms - 60_000:
            break
        assert expected // 1000 in seconds, from_ms(expected)

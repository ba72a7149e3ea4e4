"""Several managers on one record, on both databases: what those that are gone left open is closed, and nothing else."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

import pytest
from sqlalchemy import select

from juvuln.async_engine import AsyncConnection
from juvuln.clock import new_run_id
from juvuln.database import transaction
from juvuln.runs.managers import GONE_AFTER_LOOKS, Managers, Sign
from juvuln.runs.meter import RunMeter
from juvuln.runs.record import RunRecord, open_record
from juvuln.runs.run import Ending, Run, Trigger
from juvuln.runs.tables import managers
from shared.wire import Outcome
from tests.juvuln.support import program
from tests.support.databases import DatabaseServer

NOW_MS = 1_700_000_000_000
LONG_ENOUGH = GONE_AFTER_LOOKS + 1


def now_ms() -> int:
    return NOW_MS + 1_000_000


@pytest.fixture
async def record_url(databases: DatabaseServer) -> str:
    return await databases.create()


@asynccontextmanager
async def opened(url: str, name: str) -> AsyncIterator[RunRecord]:
    async with open_record(url, name, lambda _: None) as record:
        writer = asyncio.create_task(record.write())
        try:
            yield record
        finally:
            writer.cancel()


async def claimed(record: RunRecord, number: int) -> Run:
    it = Run(new_run_id(NOW_MS + number, number), program(), Trigger.WEBHOOK, claimed_ms=NOW_MS + number)
    assert await record.claim([it]) == {it.id}
    return it


async def looks(record: RunRecord, number: int) -> Mapping[str, int]:
    """What as many looks find in all."""
    found: dict[str, int] = {}
    for _ in range(number):
        found |= await record.managers.look(now_ms())
    return found


async def open_runs(record: RunRecord) -> Sequence[str]:
    return [run.id for run in await record.history("test", outcomes=[None], limit=1000)]


async def test_runs_left_open_under_another_name_are_lost_once_their_manager_has_been_silent_for_long(
    record_url: str,
) -> None:
    async with opened(record_url, "old-host:8097") as before:
        await before.managers.begin(NOW_MS)
        left = await claimed(before, 1)
    async with opened(record_url, "new-host:8097") as record:
        assert await record.managers.begin(now_ms()) == 0
        mine = await claimed(record, 2)
        assert await looks(record, GONE_AFTER_LOOKS) == {}
        assert await looks(record, 1) == {"old-host:8097": 1}
        assert await looks(record, LONG_ENOUGH) == {}
        assert await open_runs(record) == [mine.id]
        lost = await record.get("test", left.id)
        assert lost is not None
        assert lost.ending == Ending(
            Outcome.LOST, now_ms(), "the manager old-host:8097 is gone, or could not reach the record for long"
        )
        assert record.meter.left_open == 1


async def test_runs_of_a_manager_that_shows_itself_stay_open_however_long_they_take(record_url: str) -> None:
    async with opened(record_url, "one") as one, opened(record_url, "two") as two:
        await one.managers.begin(NOW_MS)
        await two.managers.begin(NOW_MS)
        theirs = await claimed(two, 1)
        for _ in range(3):
            assert await looks(one, GONE_AFTER_LOOKS) == {}
            assert await two.managers.beat()
        assert await open_runs(one) == [theirs.id]


async def test_a_manager_of_a_version_without_a_row_is_there_while_it_claims_runs(record_url: str) -> None:
    async with opened(record_url, "one") as one, opened(record_url, "plain") as plain:
        for number in range(2 * LONG_ENOUGH):
            await claimed(plain, number)
            assert await looks(one, 1) == {}
        assert await looks(one, LONG_ENOUGH) == {"plain": 2 * LONG_ENOUGH}


async def test_a_manager_that_was_taken_for_gone_is_told_and_goes_on(record_url: str) -> None:
    async with opened(record_url, "one") as one, opened(record_url, "frozen") as frozen:
        await frozen.managers.begin(NOW_MS)
        given_up = await claimed(frozen, 1)
        assert await looks(one, LONG_ENOUGH) == {"frozen": 1}
        assert not await frozen.managers.beat()
        frozen.close(given_up, Ending(Outcome.SUCCEEDED, now_ms()))
        await frozen.flush()
        later = await claimed(frozen, 2)
        assert await frozen.managers.beat()
        assert await open_runs(one) == [later.id]
        kept = await one.get("test", given_up.id)
        assert kept is not None
        assert kept.ending is not None
        assert kept.ending.outcome is Outcome.LOST


async def test_two_managers_of_one_name_are_both_told(record_url: str) -> None:
    async with opened(record_url, "same") as one, opened(record_url, "same") as two:
        await one.managers.begin(NOW_MS)
        await two.managers.begin(NOW_MS)
        assert not await one.managers.beat()
        assert not await two.managers.beat()


async def test_who_leaves_in_good_order_leaves_nothing_behind(record_url: str) -> None:
    async with opened(record_url, "one") as one:
        await one.managers.begin(NOW_MS)
        await one.managers.leave()
        async with transaction(one._engine, "record") as connection:
            assert (await connection.execute(select(managers))).all() == []


@dataclass
class Life:
    """A manager in one of its lives, and the runs that it has open."""

    name: str
    rows: Managers
    open: set[str] = field(default_factory=set)


@pytest.mark.parametrize("seed", range(2))
async def test_whatever_managers_come_and_go_only_runs_of_the_gone_are_closed_and_all_of_them(
    record_url: str, seed: int
) -> None:
    chance, names, numbers = random.Random(seed), count(), count()
    async with opened(record_url, "keeper") as record:

        async def begin(name: str) -> Life:
            life = Life(name, Managers(record._engine, name, RunMeter()))
            await life.rows.begin(now_ms())
            return life

        there, gone_for = [await begin("keeper")], dict[str, tuple[int, set[str]]]()
        for _ in range(30):
            event = chance.choice(["claim", "claim", "claim", "die", "begin", "come back"])
            if event == "claim":
                life = chance.choice(there)
                record.manager = life.name
                life.open.add((await claimed(record, next(numbers))).id)
            elif event == "die" and len(there) > 1:
                dead = there.pop(chance.randrange(1, len(there)))
                gone_for[dead.name] = 0, dead.open
            elif event == "begin" and len(there) < 4:
                there.append(await begin(f"manager-{next(names)}"))
            elif event == "come back" and gone_for:
                name = chance.choice(sorted(gone_for))
                del gone_for[name]
                there.append(await begin(name))
            for life in chance.sample(there, len(there)):
                await life.rows.beat()
                await life.rows.look(now_ms())
            gone_for = {name: (rounds + 1, left) for name, (rounds, left) in gone_for.items() if rounds < LONG_ENOUGH}
            still_open = set(await open_runs(record))
            of_those_there = {run for life in there for run in life.open}
            assert of_those_there <= still_open
            assert still_open - of_those_there <= {run for _, left in gone_for.values() for run in left}


async def test_a_manager_that_shows_itself_in_the_last_moment_is_not_given_up(
    record_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(record_url, "one") as one, opened(record_url, "two") as two:
        await two.managers.begin(NOW_MS)
        theirs = await claimed(two, 1)
        await looks(one, GONE_AFTER_LOOKS)
        see = one.managers._signs

        async def see_and_be_overtaken(connection: AsyncConnection) -> Mapping[str, Sign]:
            signs = await see(connection)
            await two.managers.beat()
            return signs

        monkeypatch.setattr(one.managers, "_signs", see_and_be_overtaken)
        assert await looks(one, 1) == {}
        assert await open_runs(one) == [theirs.id]
        assert await two.managers.beat()

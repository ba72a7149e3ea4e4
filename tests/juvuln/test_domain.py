"""One domain and the task that reads it: who asks for a reading sees what was there when he asked."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event

from juvuln.database import DatabaseError, open_engine
from juvuln.domains.create import create_domain
from juvuln.domains.domain import Domain, DomainChanges
from juvuln.domains.store import DomainStore, Specification
from tests.juvuln.support import refreshing_hourly
from tests.support.databases import DatabaseServer
from tests.support.waiting import until

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Follower:
    """Takes changes when it may, and fails when it is told to."""

    def __init__(self) -> None:
        self.taken: list[DomainChanges] = []
        self.may_take = asyncio.Event()
        self.may_take.set()
        self.fails = False

    async def follow(self, changes: DomainChanges) -> None:
        await self.may_take.wait()
        if self.fails:
            raise DatabaseError("record of runs", "is away")
        self.taken.append(changes)


class Made:
    def __init__(self, url: str) -> None:
        self.follower = Follower()
        self.domain = Domain("test", url, self.follower.follow, refreshing_hourly())
        self.others = DomainStore("test", open_engine(url))
        self.connections = 0
        """That the domain has open."""
        pool = self.domain._engine.sync_engine.pool
        event.listen(pool, "connect", lambda *_: self._count(1))
        event.listen(pool, "close", lambda *_: self._count(-1))

    def _count(self, more: int) -> None:
        self.connections += more

    async def add(self) -> UUID:
        """A program, added by somebody else."""
        uuid = uuid4()
        root = UUID("00000000-0000-1000-8000-000000000000")
        await self.others.create_program(Specification(uuid, "p", "webhook", "active", "", 1, "tengo", ()), [], uuid4)
        await self.others.sign_revision(uuid, await self.others.add_revision(uuid, b"x", root, NOW), root, NOW)
        return uuid

    def known(self) -> set[UUID]:
        return set(self.domain.reading.programs) if self.domain.reading else set()


@pytest.fixture
async def made(databases: DatabaseServer) -> AsyncIterator[Made]:
    url = await databases.create()
    engine = open_engine(url, create=True)
    await create_domain(engine, "test", NOW)
    await engine.dispose()
    opened = Made(url)
    opened.domain.start()
    await opened.domain.refresh()
    yield opened
    await opened.domain.close()
    await opened.others.close()


async def test_a_refresh_that_is_asked_for_during_another_sees_what_was_committed_before(made: Made) -> None:
    first = await made.add()
    made.follower.may_take.clear()
    under_way = asyncio.create_task(made.domain.refresh())

    async def read() -> bool:
        return made.domain.counts.readings == 2

    await until(read, "the first program was read")
    second = await made.add()
    asked = asyncio.create_task(made.domain.refresh())
    made.follower.may_take.set()
    await under_way
    assert first in made.known()
    await asked
    assert made.known() == {first, second}


async def test_however_many_ask_few_readings_serve_them_all(made: Made) -> None:
    uuid = await made.add()
    before = made.domain.counts.readings + made.domain.counts.unchanged
    await asyncio.gather(*[made.domain.refresh() for _ in range(200)])
    assert made.domain.counts.readings + made.domain.counts.unchanged <= before + 2
    assert made.known() == {uuid}


async def test_one_who_stops_waiting_disturbs_nobody_else(made: Made) -> None:
    uuid = await made.add()
    made.follower.may_take.clear()
    tasks = [asyncio.create_task(made.domain.refresh()) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    made.follower.may_take.set()
    await asyncio.gather(*tasks[1:])
    assert made.known() == {uuid}


async def test_changes_that_could_not_be_followed_are_found_again(made: Made) -> None:
    made.follower.fails = True
    uuid = await made.add()
    await made.domain.refresh()
    assert made.known() == set()
    assert "record of runs: is away" in (made.domain.problem() or "")
    made.follower.fails = False
    await made.domain.refresh()
    assert made.known() == {uuid}
    assert made.domain.problem() is None
    added = [program.key.uuid for changes in made.follower.taken for program in changes.changes.added]
    assert added == [uuid]


async def test_who_waits_for_a_domain_that_is_removed_is_not_left_waiting(made: Made) -> None:
    await made.add()
    made.follower.may_take.clear()
    waiting = [asyncio.create_task(made.domain.refresh()) for _ in range(2)]
    await asyncio.sleep(0)
    await made.domain.close()
    async with asyncio.timeout(10):
        await asyncio.gather(*waiting)


async def test_a_database_that_only_the_readings_use_keeps_no_connection(made: Made) -> None:
    assert made.connections == 0
    await made.domain.store.principal(b"nobody")
    await made.domain.refresh()
    assert made.connections == 1

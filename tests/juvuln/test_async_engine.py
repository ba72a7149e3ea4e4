"""The engine gives connections back whole, whatever becomes of those who had them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, insert, select

from juvuln.async_engine import AsyncEngine
from juvuln.database import open_engine
from tests.support.databases import DatabaseServer

numbers = Table("numbers", MetaData(), Column("number", Integer, primary_key=True))


@pytest.fixture
async def engine(databases: DatabaseServer) -> AsyncIterator[AsyncEngine]:
    made = open_engine(await databases.create(), create=True, pool_size=1, overflow=0)
    async with made.begin() as connection:
        await connection.run_sync(numbers.create)
        await connection.execute(insert(numbers), [{"number": number} for number in range(10)])
    yield made
    await made.dispose()


def checked_out(engine: AsyncEngine) -> int:
    pool: Any = engine.sync_engine.pool
    count: int = pool.checkedout()
    return count


async def count(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return len((await connection.execute(select(numbers))).all())


async def test_what_a_transaction_wrote_is_kept_at_its_end(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(insert(numbers).values(number=10))
    assert await count(engine) == 11


async def test_what_a_transaction_wrote_is_gone_after_an_error(engine: AsyncEngine) -> None:
    with pytest.raises(ZeroDivisionError):
        async with engine.begin() as connection:
            await connection.execute(insert(numbers).values(number=10))
            raise ZeroDivisionError
    assert (await count(engine), checked_out(engine)) == (10, 0)


async def test_what_was_not_committed_is_gone(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(insert(numbers).values(number=10))
    assert await count(engine) == 10


async def test_rows_are_given_in_portions(engine: AsyncEngine) -> None:
    async with engine.connect() as connection, connection.stream(select(numbers).order_by(numbers.c.number)) as rows:
        portions = [[row.number for row in portion] async for portion in rows.partitions(4)]
    assert portions == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


async def test_rows_need_not_be_taken_to_the_last(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        async with connection.stream(select(numbers)) as rows:
            async for portion in rows.partitions(2):
                assert len(portion) == 2
                break
        assert (await connection.execute(select(numbers))).first() is not None
    assert (await count(engine), checked_out(engine)) == (10, 0)


async def test_one_who_is_cancelled_gives_the_connection_back_before_going_on(engine: AsyncEngine) -> None:
    """Even if cancelled once more in the middle of that."""
    given = asyncio.Event()

    async def work() -> None:
        async with engine.begin() as connection:
            await connection.execute(insert(numbers).values(number=10))
            given.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await given.wait()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert checked_out(engine) == 0
    assert await count(engine) == 10


async def test_a_connection_that_is_to_be_closed_is_not_given_to_others(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        first = await connection.driver_connection()
        connection.info["mark"] = 1
        await connection.invalidate()
    async with engine.connect() as connection:
        assert await connection.driver_connection() is not first
        assert "mark" not in connection.info

"""What the worker has on its plate."""

import asyncio

import pytest

from malgomaj.errors import Busy, Draining
from malgomaj.plate import Plate


async def test_the_load_is_the_sum_of_the_deadlines_on_the_plate() -> None:
    plate = Plate(max_tasks=10)
    first, second = asyncio.timeout(None), asyncio.timeout(None)
    plate.add(first, 1000)
    plate.add(second, 60_000)
    assert (plate.load, len(plate)) == (61_000, 2)
    plate.remove(first)
    assert (plate.load, len(plate)) == (60_000, 1)
    plate.remove(second)
    assert (plate.load, len(plate)) == (0, 0)


async def test_a_full_plate_takes_nothing_until_there_is_room() -> None:
    plate = Plate(max_tasks=1)
    task = asyncio.timeout(None)
    plate.check()
    plate.add(task, 1)
    with pytest.raises(Busy, match=r"limits\.tasks: 1"):
        plate.check()
    plate.remove(task)
    plate.check()


async def test_a_closed_plate_takes_nothing() -> None:
    plate = Plate(max_tasks=1)
    plate.close()
    with pytest.raises(Draining):
        plate.check()


async def test_waiting_for_an_empty_plate_ends_with_the_last_task() -> None:
    plate = Plate(max_tasks=10)
    await plate.empty()
    task = asyncio.timeout(None)
    plate.add(task, 1)
    waiting = asyncio.create_task(plate.empty())
    await asyncio.sleep(0)
    assert not waiting.done()
    plate.remove(task)
    await waiting


async def test_ending_all_lets_every_task_time_out_now() -> None:
    plate = Plate(max_tasks=10)

    async def task() -> None:
        timeout = asyncio.timeout(3600)
        async with timeout:
            plate.add(timeout, 1)
            try:
                await asyncio.sleep(3600)
            finally:
                plate.remove(timeout)

    tasks = [asyncio.create_task(task()) for _ in range(3)]
    await asyncio.sleep(0)
    plate.end_all()
    plate.end_all()  # twice does no harm
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [TimeoutError] * 3
    assert plate.ended

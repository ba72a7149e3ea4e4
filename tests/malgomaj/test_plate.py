"""What the worker has on its plate."""

import asyncio

import pytest

from malgomaj.errors import Busy, Draining
from malgomaj.plate import Plate

LATER = 1e9
"""A time by the loop's clock."""


async def test_the_load_is_the_sum_of_the_deadlines_on_the_plate() -> None:
    plate = Plate(max_tasks=10)
    first, second = plate.add(1000, LATER), plate.add(60_000, LATER)
    assert (plate.load, len(plate)) == (61_000, 2)
    plate.remove(first)
    assert (plate.load, len(plate)) == (60_000, 1)
    plate.remove(second)
    assert (plate.load, len(plate)) == (0, 0)


async def test_a_full_plate_takes_nothing_until_there_is_room() -> None:
    plate = Plate(max_tasks=1)
    plate.check()
    place = plate.add(1, LATER)
    with pytest.raises(Busy, match=r"limits\.tasks: 1"):
        plate.check()
    plate.remove(place)
    plate.check()


async def test_a_closed_plate_takes_nothing() -> None:
    plate = Plate(max_tasks=1)
    plate.close()
    with pytest.raises(Draining):
        plate.check()


async def test_waiting_for_an_empty_plate_ends_with_the_last_task() -> None:
    plate = Plate(max_tasks=10)
    await plate.empty()
    place = plate.add(1, LATER)
    waiting = asyncio.create_task(plate.empty())
    await asyncio.sleep(0)
    assert not waiting.done()
    plate.remove(place)
    await waiting


async def test_the_time_of_each_is_up_in_its_turn_whoever_has_left() -> None:
    plate, now = Plate(max_tasks=10), asyncio.get_running_loop().time()
    left = plate.add(1, now)
    first = asyncio.create_task(hold_a_place(plate, now + 0.01))
    second = asyncio.create_task(hold_a_place(plate, now + 0.02))
    long = asyncio.create_task(hold_a_place(plate, LATER, deadline_ms=2))
    plate.remove(left)
    assert [await first, await second] == ["its time was up"] * 2
    await asyncio.sleep(0.01)
    assert await asyncio.create_task(hold_a_place(plate, now + 0.01)) == "its time was up"
    assert not long.done()
    long.cancel()


async def hold_a_place(plate: Plate, until: float, deadline_ms: int = 1) -> str:
    """A task that works for ever; says why it ended."""
    place = plate.add(deadline_ms, until)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        if place.is_up():
            return "its time was up"
        raise
    finally:
        plate.remove(place)
    raise AssertionError


async def test_a_task_is_cancelled_when_its_time_is_up() -> None:
    plate = Plate(max_tasks=10)
    task = asyncio.create_task(hold_a_place(plate, asyncio.get_running_loop().time()))
    assert await task == "its time was up"
    assert (task.cancelling(), len(plate), plate.ended) == (0, 0, False)


async def test_a_task_that_left_in_time_is_not_cancelled() -> None:
    plate = Plate(max_tasks=10)
    plate.remove(plate.add(1, asyncio.get_running_loop().time()))
    for _ in range(3):
        await asyncio.sleep(0)  # a cancellation would end this


async def test_who_cancels_a_task_has_the_last_word() -> None:
    plate = Plate(max_tasks=10)
    tasks = [asyncio.create_task(hold_a_place(plate, LATER)) for _ in range(2)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[1].cancel()
    plate.end_all()
    assert [await result_of(task) for task in tasks] == ["cancelled", "cancelled"]


async def test_ending_all_lets_the_time_of_every_task_be_up() -> None:
    plate = Plate(max_tasks=10)
    tasks = [asyncio.create_task(hold_a_place(plate, LATER)) for _ in range(3)]
    await asyncio.sleep(0)
    plate.end_all()
    plate.end_all()  # twice does no harm
    assert [await result_of(task) for task in tasks] == ["its time was up"] * 3
    assert plate.ended


async def result_of(task: "asyncio.Task[str]") -> str:
    try:
        return await task
    except asyncio.CancelledError:
        return "cancelled"

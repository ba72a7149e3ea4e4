"""How long a task may take for something."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.time_limits import TimeLimit, TimeLimits

SOON_SECONDS = 0.01
LONG_SECONDS = 1e6


@pytest.fixture
async def limits() -> AsyncIterator[TimeLimits]:
    yield TimeLimits(asyncio.get_running_loop())


async def wait_for_ever(limits: TimeLimits, seconds: float, length_ms: int = 1) -> str:
    loop = asyncio.get_running_loop()
    limit = TimeLimit(loop, length_ms)
    limits.begin(limit, loop.time() + seconds)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        if limit.is_up():
            return "its time was up"
        raise
    finally:
        limits.leave(limit)
    raise AssertionError


async def test_the_time_of_each_is_up_in_its_turn(limits: TimeLimits) -> None:
    first = asyncio.create_task(wait_for_ever(limits, SOON_SECONDS))
    second = asyncio.create_task(wait_for_ever(limits, 2 * SOON_SECONDS))
    other = asyncio.create_task(wait_for_ever(limits, LONG_SECONDS, length_ms=2))
    assert await first == "its time was up"
    assert not second.done()
    assert await second == "its time was up"
    assert (first.cancelling(), other.done()) == (0, False)
    other.cancel()


async def test_whoever_has_left_is_not_cancelled_any_more(limits: TimeLimits) -> None:
    loop = asyncio.get_running_loop()
    limit = TimeLimit(loop, 1)
    limits.begin(limit, loop.time())
    limits.leave(limit)
    limit.end()
    for _ in range(3):
        await asyncio.sleep(0)  # a cancellation would end this


async def test_the_time_can_be_up_before_it_began(limits: TimeLimits) -> None:
    limit = TimeLimit(asyncio.get_running_loop(), 1)
    limit.end()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(0)
    assert limit.is_up()
    limits.leave(limit)


async def test_who_cancels_a_task_has_the_last_word(limits: TimeLimits) -> None:
    task = asyncio.create_task(wait_for_ever(limits, SOON_SECONDS))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

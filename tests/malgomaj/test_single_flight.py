"""One piece of work for all who ask for the same thing."""

import asyncio

import pytest
from structlog.testing import capture_logs

from malgomaj.errors import WorkerError
from malgomaj.single_flight import SingleFlight


async def test_those_who_ask_at_the_same_time_share_one_piece_of_work() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    starts = 0

    async def work() -> int:
        nonlocal starts
        starts += 1
        await asyncio.sleep(0)
        return starts

    assert await asyncio.gather(*(flights.start("a", work) for _ in range(100))) == [1] * 100
    assert await flights.start("a", work) == 2
    assert len(flights) == 0


async def test_the_work_goes_on_when_one_who_asked_has_gone() -> None:
    flights: SingleFlight[str, str] = SingleFlight()
    go = asyncio.Event()

    async def work() -> str:
        await go.wait()
        return "done"

    async def ask() -> str:
        return await asyncio.shield(flights.start("a", work))

    gone, stays = asyncio.create_task(ask()), asyncio.create_task(ask())
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    go.set()
    assert await stays == "done"


async def test_all_who_ask_get_the_error() -> None:
    flights: SingleFlight[str, None] = SingleFlight()

    async def work() -> None:
        raise WorkerError("no")

    results = await asyncio.gather(*(flights.start("a", work) for _ in range(2)), return_exceptions=True)
    assert [str(result) for result in results] == ["no", "no"]


async def test_an_error_that_nobody_foresaw_is_logged_even_if_nobody_waits() -> None:
    flights: SingleFlight[str, None] = SingleFlight()

    async def work() -> None:
        raise ZeroDivisionError

    with capture_logs() as logs:
        flights.start("a", work)
        await asyncio.sleep(0)
        await flights.close()
    assert [(line["event"], line["work"]) for line in logs] == [("shared_work_failed", "a")]


async def test_closing_ends_what_is_under_way() -> None:
    flights: SingleFlight[str, None] = SingleFlight()

    async def work() -> None:
        await asyncio.sleep(3600)

    waiting = flights.start("a", work)
    await asyncio.sleep(0)
    await flights.close()
    assert waiting.cancelled()
    assert len(flights) == 0
    await flights.close()

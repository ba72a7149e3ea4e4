"""Tasks that came before their time: they begin at the manager's word, or not at all."""

import asyncio
from uuid import UUID

import pytest

from malgomaj.errors import Busy, Draining, Withdrawn
from malgomaj.held import Held, Word
from malgomaj.plate import Plate
from malgomaj.turns import Turn, Turns
from shared.wire import Task

LATER = 1e9


def task(domain: str = "test", run_id: str = "run") -> Task:
    return Task(
        deadline=1000, domain=domain, language="tengo", program_uuid=str(UUID(int=1)), source_code=b"", run_id=run_id
    )


def held(max_running: int = 10, max_tasks: int = 100, plate: Plate | None = None) -> tuple[Held, Turns]:
    turns = Turns(max_running, 0)
    return Held(turns, Plate(100) if plate is None else plate, max_tasks), turns


async def waiting(holding: Held, word: Word, *tasks: Task) -> "list[asyncio.Task[bool]]":
    waits = [asyncio.create_task(holding.wait(each, number, word)) for number, each in enumerate(tasks)]
    await asyncio.sleep(0)
    return waits


async def test_nothing_begins_before_its_word_and_then_all_of_it_does() -> None:
    (holding, _), word, other = held(), Word(), Word()
    waits = await waiting(holding, word, task(), task())
    unsaid = await waiting(holding, other, task())
    await asyncio.sleep(0.01)
    assert (len(holding), word.came, any(one.done() for one in waits)) == (3, None, False)
    holding.begin(word, ())
    assert await asyncio.gather(*waits) == [True, True]
    assert word.came is not None
    assert (len(holding), unsaid[0].done()) == (1, False)
    unsaid[0].cancel()


async def test_what_is_left_out_of_the_word_does_not_begin() -> None:
    (holding, _), word = held(), Word()
    waits = await waiting(holding, word, task(), task(), task())
    holding.begin(word, [1])
    first, second, third = await asyncio.gather(*waits, return_exceptions=True)
    assert (first, type(second), third) == (True, Withdrawn, True)


async def test_what_is_ended_while_it_is_held_does_not_begin() -> None:
    (holding, _), word = held(), Word()
    waits = await waiting(holding, word, task(run_id="one"), task(run_id="two"))
    assert (holding.end("one"), holding.end("three")) == (True, False)
    holding.begin(word, ())
    assert await asyncio.gather(*waits) == [False, True]


async def test_each_waits_for_a_turn_of_its_domain_and_the_domains_take_turns() -> None:
    (holding, turns), word = held(max_running=1), Word()
    begun, taken = [], list[Turn]()

    async def run(each: Task, number: int) -> None:
        if await holding.wait(each, number, word):
            begun.append(each.run_id)
            taken.append(await turns.take(each.domain))

    tasks = [task("many", "1"), task("many", "2"), task("many", "3"), task("one", "4")]
    runs = [asyncio.create_task(run(each, number)) for number, each in enumerate(tasks)]
    await asyncio.sleep(0)
    holding.begin(word, ())
    await asyncio.sleep(0.01)
    assert begun == ["1", "4"]
    taken[0].drop()
    await asyncio.sleep(0.02)
    assert begun == ["1", "4", "2"]
    taken[2].drop()
    await asyncio.gather(*runs)
    assert begun == ["1", "4", "2", "3"]


async def test_what_gets_no_turn_in_a_while_may_be_given_to_another_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("malgomaj.held.PATIENCE_SECONDS", 0.02)
    (holding, turns), word = held(max_running=1), Word()
    await turns.take("test")
    waits = await waiting(holding, word, task(), task("other"))
    holding.begin(word, ())
    assert await waits[1]
    with pytest.raises(Busy, match="test"):
        await waits[0]
    assert len(holding) == 0


async def test_a_full_plate_is_waited_for() -> None:
    plate = Plate(1)
    place = plate.add(1, LATER)
    (holding, _), word = held(plate=plate), Word()
    (wait,) = await waiting(holding, word, task())
    holding.begin(word, ())
    await asyncio.sleep(0.01)
    assert not wait.done()
    plate.remove(place)
    assert await wait


async def test_no_more_are_held_than_there_is_room_for() -> None:
    (holding, _), word = held(max_tasks=1), Word()
    first, second = await waiting(holding, word, task(), task())
    with pytest.raises(Busy):
        await second
    holding.begin(word, ())
    assert await first


async def test_a_worker_that_stops_holds_nothing_any_more() -> None:
    (holding, _), word = held(), Word()
    (wait,) = await waiting(holding, word, task())
    holding.close()
    for each in (wait, holding.wait(task(), 1, word)):
        with pytest.raises(Draining):
            await each


async def test_who_is_cancelled_is_not_held_any_more_and_does_not_keep_the_others() -> None:
    (holding, _), word = held(max_running=1), Word()
    waits = await waiting(holding, word, task(), task())
    waits[0].cancel()
    await asyncio.sleep(0)
    holding.begin(word, ())
    assert await waits[1]
    assert len(holding) == 0


async def test_words_that_come_together_begin_no_more_than_there_are_turns_for() -> None:
    (holding, turns), words = held(max_running=2), [Word() for _ in range(3)]
    begun = 0

    async def run(word: Word, number: int) -> None:
        nonlocal begun
        if await holding.wait(task(), number, word):
            begun += 1
            await turns.take("test")

    runs = [asyncio.create_task(run(word, number)) for word in words for number in range(2)]
    await asyncio.sleep(0)
    for word in words:
        holding.begin(word, ())
    await asyncio.sleep(0.02)
    assert (begun, len(holding)) == (2, 4)
    for one in runs:
        one.cancel()


async def test_a_domain_leaves_room_for_others_on_the_plate() -> None:
    plate, word, other = Plate(18), Word(), Word()
    (holding, turns), begun = held(max_running=100, plate=plate), []

    async def run(each: Task, number: int, mine: Word) -> None:
        if await holding.wait(each, number, mine):
            plate.add(1, LATER)
            await turns.take(each.domain)
            begun.append(each.domain)

    runs = [asyncio.create_task(run(task("many"), number, word)) for number in range(18)]
    runs.append(asyncio.create_task(run(task("one"), 0, other)))
    await asyncio.sleep(0)
    holding.begin(word, ())
    await asyncio.sleep(0.01)
    assert begun == ["many"] * 16
    holding.begin(other, ())
    await asyncio.sleep(0.01)
    assert begun[16:] == ["one"]
    for one in runs:
        one.cancel()


async def test_a_task_that_is_about_to_begin_is_held_no_more() -> None:
    (holding, _), word = held(), Word()
    (wait,) = await waiting(holding, word, task(run_id="one"))
    holding.begin(word, ())
    ended = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: ended.set_result(holding.end("one")))
    assert (await ended, await wait) == (False, True)

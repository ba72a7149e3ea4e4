"""Whose turn it is among the runs of a domain."""

import asyncio

import pytest

from malgomaj.errors import Busy
from malgomaj.turns import Turn, Turns


def waiting(turns: Turns, domain: str = "test") -> "asyncio.Task[Turn]":
    return asyncio.create_task(turns.take(domain))


async def settle() -> None:
    """Let everybody go as far as they can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_turns_are_given_in_the_order_in_which_they_were_asked_for() -> None:
    turns = Turns(max_running=2, max_waiting=10)
    first, second = await turns.take("test"), await turns.take("test")
    later = [waiting(turns) for _ in range(3)]
    await settle()
    assert turns.waiting == 3
    first.drop()
    await settle()
    assert [task.done() for task in later] == [True, False, False]
    second.drop()
    await settle()
    assert [task.done() for task in later] == [True, True, False]
    (await later[0]).drop()
    await settle()
    assert later[2].done()
    assert turns.waiting == 0


async def test_a_full_domain_leaves_the_others_alone() -> None:
    turns = Turns(max_running=1, max_waiting=0)
    await turns.take("full")
    with pytest.raises(Busy, match=r"'full' has 1 runs under way \(limits\.domain_runs\) and 0 that wait"):
        await turns.take("full")
    await turns.take("other")


async def test_past_those_who_may_wait_a_run_is_refused() -> None:
    turns = Turns(max_running=1, max_waiting=2)
    turn = await turns.take("test")
    waits = [waiting(turns) for _ in range(2)]
    await settle()
    with pytest.raises(Busy, match=r"limits\.domain_queue: 2"):
        await turns.take("test")
    turn.drop()
    for wait in waits:
        (await wait).drop()
    (await turns.take("test")).drop()


async def test_a_turn_is_free_when_its_last_holder_drops_it() -> None:
    turns = Turns(max_running=1, max_waiting=1)
    turn = await turns.take("test")
    held = turn.hold()
    turn.drop()
    next_one = waiting(turns)
    await settle()
    assert not next_one.done()
    held.drop()
    await next_one


async def test_a_turn_is_over_when_what_it_was_held_for_has_stopped() -> None:
    turn = await Turns(max_running=1, max_waiting=1).take("test")
    held = turn.hold()
    over = asyncio.create_task(turn.over())
    turn.drop()
    held.drop()
    await settle()
    assert not over.done()
    held.end()
    await over
    await turn.over()


async def test_who_gives_up_waiting_is_passed_over() -> None:
    turns = Turns(max_running=1, max_waiting=3)
    turn = await turns.take("test")
    gives_up, stays = waiting(turns), waiting(turns)
    await settle()
    gives_up.cancel()
    await settle()
    assert turns.waiting == 1
    turn.drop()
    await stays


async def test_a_turn_that_is_given_up_as_it_is_given_goes_to_the_next() -> None:
    turns = Turns(max_running=1, max_waiting=3)
    turn = await turns.take("test")
    gives_up, stays = waiting(turns), waiting(turns)
    await settle()
    turn.drop()
    gives_up.cancel()
    await settle()
    assert gives_up.cancelled()
    (await stays).drop()
    (await turns.take("test")).drop()


async def test_nothing_is_remembered_of_a_domain_that_has_ended() -> None:
    turns = Turns(max_running=1, max_waiting=1)
    for number in range(100):
        (await turns.take(f"domain-{number}")).drop()
    assert turns.waiting == 0
    assert not turns._queues

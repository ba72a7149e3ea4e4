"""Places are shared between the domains that wait, whatever the number of their runs."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from juvuln.fairness import FairQueue, Places
from shared.share import SHARE

DOMAINS = st.sampled_from("abcd")
STEPS = st.lists(st.tuples(st.sampled_from(["put", "leave", "give back"]), DOMAINS), max_size=200)


@given(st.integers(1, 40), STEPS)
def test_places_are_never_lost_never_doubled_and_go_to_whoever_waits(places: int, steps: list[tuple[str, str]]) -> None:
    queue: FairQueue[int] = FairQueue(places)
    waiting: dict[str, list[int]] = {domain: [] for domain in "abcd"}
    taken: Counter[str] = Counter()
    for number, (step, domain) in enumerate(steps):
        if step == "put":
            queue.put(domain, number)
            waiting[domain].append(number)
        elif step == "leave" and waiting[domain]:
            queue.leave(domain, waiting[domain].pop())
        elif step == "give back" and taken[domain]:
            queue.give_back(domain)
            taken[domain] -= 1
        while (given_to := queue.take()) is not None:
            whose, one = given_to
            assert one == waiting[whose].pop(0), "within a domain it is first come, first served"
            taken[whose] += 1
        assert len(queue) == sum(map(len, waiting.values()))
        free = places - taken.total()
        assert free >= 0
        for whose, others in waiting.items():
            assert not others or taken[whose] >= SHARE * free, "who waits has its share, or nothing is free"


@given(st.integers(1, 1000), st.integers(1, 5))
def test_a_domain_with_few_runs_waits_for_at_most_a_turn_of_each_other(flood: int, others: int) -> None:
    queue: FairQueue[str] = FairQueue(1)
    for _ in range(flood):
        for other in range(others):
            queue.put(f"flood {other}", "flood")
    queue.put("single", "single")
    for turn in range(others + 1):
        taken = queue.take()
        assert taken is not None
        if taken[0] == "single":
            return
        queue.give_back(taken[0])
        assert turn < others
    pytest.fail("the single run waits for more than a turn of each other domain")


def test_one_domain_alone_gets_most_places_and_another_finds_some_at_once() -> None:
    queue: FairQueue[int] = FairQueue(256)
    for number in range(10_000):
        queue.put("flood", number)
    taken = 0
    while queue.take() is not None:
        taken += 1
    assert 224 <= taken < 256
    queue.put("single", 0)
    assert queue.take() == ("single", 0)


def test_the_smallest_number_of_places_is_enough_for_one_domain() -> None:
    queue: FairQueue[int] = FairQueue(1)
    queue.put("a", 1)
    queue.put("a", 2)
    assert queue.take() == ("a", 1)
    assert queue.take() is None
    queue.give_back("a")
    assert queue.take() == ("a", 2)


async def test_who_is_cancelled_takes_no_place_and_keeps_none() -> None:
    places = Places(1)
    await places.take("a")
    waiting = [asyncio.create_task(places.take("a")) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # while it waits
    places.give_back("a")  # goes to the next, as the first is cancelled and does not know it yet
    waiting[1].cancel()  # at the very moment in which it was given
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results[:2]] == [asyncio.CancelledError] * 2
    assert results[2] is None
    places.give_back("a")
    await places.take("b")

"""What is kept for domains, and who gives up what."""

from hypothesis import given
from hypothesis import strategies as st

from malgomaj.shelves import Shelves


def test_what_is_kept_for_one_domain_is_not_found_with_another() -> None:
    shelves: Shelves[str, str] = Shelves(10, 100)
    shelves.put("one", "key", "value", 5)
    assert shelves.get("one", "key") == "value"
    assert shelves.get("other", "key") is None
    shelves.drop("other", "key")
    assert shelves.get("one", "key") == "value"
    shelves.drop("one", "key")
    assert (shelves.get("one", "key"), len(shelves), shelves.bytes) == (None, 0, 0)


def test_the_domain_that_has_most_gives_up_what_it_used_least_lately() -> None:
    shelves: Shelves[str, int] = Shelves(10, 100)
    shelves.put("frugal", "a", 1, 30)
    for key in "bcd":
        shelves.put("greedy", key, 1, 20)
    assert shelves.get("greedy", "b") == 1
    shelves.put("greedy", "e", 1, 20)
    assert [key for key in "bcde" if shelves.get("greedy", key)] == ["b", "d", "e"]
    assert shelves.get("frugal", "a") == 1


def test_the_number_is_bounded_too() -> None:
    shelves: Shelves[int, int] = Shelves(3, 100)
    for key in range(5):
        shelves.put("one", key, key, 1)
    assert [key for key in range(5) if shelves.get("one", key) is not None] == [2, 3, 4]


def test_what_is_larger_than_all_the_room_is_not_kept() -> None:
    shelves: Shelves[str, int] = Shelves(10, 100)
    shelves.put("one", "small", 1, 10)
    shelves.put("one", "large", 1, 101)
    assert (shelves.get("one", "large"), shelves.get("one", "small"), shelves.bytes) == (None, 1, 10)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.integers(0, 40), st.booleans())))
def test_whatever_is_kept_and_dropped_the_bounds_hold_and_the_sums_are_right(
    steps: list[tuple[str, int, int, bool]],
) -> None:
    shelves: Shelves[int, int] = Shelves(6, 100)
    for domain, key, size, dropped in steps:
        if dropped:
            shelves.drop(domain, key)
            assert shelves.get(domain, key) is None
        else:
            shelves.put(domain, key, size, size)
            assert shelves.get(domain, key) in (size, None)
        kept = [held for name in "abc" for key in range(6) if (held := shelves.get(name, key)) is not None]
        assert (len(shelves), shelves.bytes) == (len(kept), sum(kept))
        assert len(kept) <= 6
        assert sum(kept) <= 100

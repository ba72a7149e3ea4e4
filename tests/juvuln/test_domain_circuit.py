"""How a database that is away is asked again."""

from hypothesis import given
from hypothesis import strategies as st

from juvuln.domains.circuit import Backoff, Circuit

BACKOFF = Backoff(1.0, 10.0)


def circuit() -> Circuit:
    return Circuit(BACKOFF, lambda: 0.0)


def test_it_is_closed_until_something_fails_and_again_once_something_succeeds() -> None:
    tried = circuit()
    assert not tried.is_open
    assert tried.seconds_left(100.0) == 0
    tried.failed(100.0, "away")
    assert (tried.is_open, tried.reason) == (True, "away")
    tried.succeeded()
    assert (tried.is_open, tried.reason) == (False, "")


def test_pauses_double_up_to_the_longest_and_begin_anew_after_a_success() -> None:
    tried = circuit()
    pauses = []
    for _ in range(6):
        tried.failed(0.0, "away")
        pauses.append(tried.seconds_left(0.0))
    assert pauses == [1, 2, 4, 8, 10, 10]
    tried.succeeded()
    tried.failed(50.0, "away")
    assert tried.seconds_left(50.5) == 0.5


def test_a_pause_can_be_ended_but_only_a_success_closes() -> None:
    tried = circuit()
    tried.failed(0.0, "away")
    tried.retry_now()
    assert tried.seconds_left(0.0) == 0
    assert tried.is_open


@given(failures=st.integers(0, 10_000), spread=st.floats(0, 1))
def test_a_pause_is_never_shorter_than_half_the_first_nor_longer_than_the_longest(failures: int, spread: float) -> None:
    assert 0.5 <= BACKOFF.pause_seconds(failures, spread) <= 10.0

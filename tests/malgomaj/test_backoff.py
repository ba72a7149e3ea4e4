"""How a domain that crashes its executors is slowed down."""

import pytest

from malgomaj.backoff import BackoffRules, CrashHistory
from malgomaj.errors import Busy

RULES = BackoffRules(crashes_forgiven=3, first_seconds=1, max_seconds=30)


def crashed(times: int, *, at: float = 0.0, rules: BackoffRules = RULES) -> CrashHistory:
    """A history of crashes at one moment."""
    history = CrashHistory(rules)
    for _ in range(times):
        history.crashed(at, "it broke")
    return history


def pauses(history: CrashHistory, count: int, now: float = 0.0) -> list[float]:
    """The pauses of a domain that crashes again as soon as each is over."""
    lengths = []
    for _ in range(count):
        history.crashed(now, "it broke")
        lengths.append(history.seconds_left(now))
        now += lengths[-1]
    return lengths


def test_the_first_crashes_cost_nothing() -> None:
    history = crashed(3)
    assert history.seconds_left(0) == 0
    history.check("test", 0)


def test_each_further_crash_costs_twice_as_much_up_to_the_most() -> None:
    assert pauses(CrashHistory(RULES), 11) == [0, 0, 0, 1, 2, 4, 8, 16, 30, 30, 30]


def test_crashes_that_are_far_apart_cost_nothing() -> None:
    history = CrashHistory(RULES)
    for number in range(20):
        history.crashed(number * 21.0, "it broke")
        assert history.seconds_left(number * 21.0) == 0


def test_a_run_that_ends_well_after_the_pause_makes_the_next_one_short_again() -> None:
    history = CrashHistory(RULES)
    assert pauses(history, 6)[-1] == 4
    history.succeeded(11.0)
    history.crashed(11.1, "it broke")
    assert history.seconds_left(11.1) == pytest.approx(1)


def test_a_harmless_run_right_after_the_pause_does_not_make_the_next_one_short() -> None:
    history = CrashHistory(RULES)
    assert pauses(history, 6)[-1] == 4
    history.succeeded(7.0)
    history.crashed(7.1, "it broke")
    assert history.seconds_left(7.1) == pytest.approx(8)


def test_a_run_that_ends_well_during_the_pause_began_before_it_and_proves_nothing() -> None:
    history = CrashHistory(RULES)
    assert pauses(history, 5)[-1] == 2
    history.succeeded(2.9)
    history.crashed(3.0, "it broke")
    assert history.seconds_left(3.0) == 4


def test_a_quiet_minute_forgives_everything() -> None:
    history = crashed(6)
    assert history.seconds_left(0) == 4
    assert not history.forgotten(63)
    assert history.forgotten(64)
    history.crashed(64, "it broke")
    assert history.seconds_left(64) == 0


def test_the_refusal_says_how_often_why_and_how_long() -> None:
    history = crashed(6)
    with pytest.raises(Busy) as caught:
        history.check("office", 0.5)
    assert str(caught.value) == (
        "the programs of domain 'office' crashed its executor 6 times in the last minute "
        "(executors.crashes_forgiven: 3; last: it broke); it is taken up again in 4 s"
    )
    assert caught.value.retry_after_seconds == 3.5


def test_none_need_be_forgiven_and_no_pause_is_too_long_to_count() -> None:
    rules = BackoffRules(crashes_forgiven=0, first_seconds=0.5, max_seconds=2)
    assert pauses(CrashHistory(rules), 3) == [0.5, 1, 2]
    assert crashed(5000, rules=rules).seconds_left(0) == 2

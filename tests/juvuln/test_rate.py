"""Buckets of tokens, and who calls."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from juvuln.rate import Buckets, caller_address


def test_a_burst_is_let_through_and_then_one_call_for_each_token_that_comes() -> None:
    buckets = Buckets(2, 3)
    assert [buckets.take("a", 100.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("a", 100.25) == 0.25
    assert buckets.take("a", 100.5) == 0
    assert buckets.take("b", 100.5) == 0
    assert [buckets.take("a", 1000.0) for _ in range(4)] == [0, 0, 0, 0.5]


def test_looking_takes_nothing() -> None:
    buckets = Buckets(1, 1)
    assert [buckets.wait_seconds("a", 0.0) for _ in range(3)] == [0, 0, 0]
    assert len(buckets) == 0
    buckets.take("a", 0.0)
    assert buckets.wait_seconds("a", 0.0) == 1


def test_a_rate_of_0_refuses_nobody_and_remembers_nobody() -> None:
    buckets = Buckets(0, 1)
    assert [buckets.take("a", 0.0) for _ in range(5)] == [0] * 5
    assert len(buckets) == 0


def test_who_has_not_called_for_longest_is_forgotten_first() -> None:
    buckets = Buckets(1, 1, most=2)
    for key, now in (("a", 0.0), ("b", 0.1), ("a", 1.0), ("c", 1.1)):
        assert buckets.take(key, now) == 0
    assert len(buckets) == 2
    assert buckets.take("a", 1.1) > 0
    assert buckets.take("b", 1.1) == 0


@given(
    st.floats(0.1, 1000),
    st.integers(1, 50),
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 5)), max_size=200),
)
def test_nobody_gets_more_than_the_burst_and_what_came_since(
    per_second: float, burst: int, calls: list[tuple[str, float]]
) -> None:
    buckets, now, taken = Buckets(per_second, burst), 0.0, dict.fromkeys("abc", 0)
    for key, pause in calls:
        now += pause
        wait = buckets.take(key, now)
        taken[key] += wait == 0
        assert 0 <= wait <= 1 / per_second + 1e-6
        assert wait == 0 or buckets.wait_seconds(key, now + wait + 1e-6) == 0
    assert all(count <= burst + now * per_second + 1e-6 for count in taken.values())


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "caller"),
    [
        ("192.0.2.1", [], [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.9"], [], "192.0.2.1"),
        ("127.0.0.1", ["198.51.100.9"], ["127.0.0.0/8"], "198.51.100.9"),
        ("127.0.0.1", ["203.0.113.5, 198.51.100.9"], ["127.0.0.0/8"], "198.51.100.9"),
        ("127.0.0.1", ["203.0.113.5", "10.0.0.2"], ["127.0.0.0/8", "10.0.0.0/8"], "203.0.113.5"),
        ("127.0.0.1", ["nonsense"], ["127.0.0.0/8"], "127.0.0.1"),
        ("127.0.0.1", [], ["127.0.0.0/8"], "127.0.0.1"),
        ("2001:db8:1:2:3::4", [], [], "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", [], [], "192.0.2.1"),
        ("fe80::1%eth0", [], [], "fe80::/64"),
        ("", ["192.0.2.1"], ["0.0.0.0/0"], ""),
    ],
)
def test_proxies_are_believed_where_they_are_trusted(
    peer: str, forwarded: list[str], trusted: list[str], caller: str
) -> None:
    assert caller_address(peer, forwarded, [ip_network(each) for each in trusted]) == caller

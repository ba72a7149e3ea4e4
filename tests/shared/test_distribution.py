"""Histograms of plain numbers."""

from hypothesis import given
from hypothesis import strategies as st

from shared.distribution import Distribution

BOUNDS = (0.5, 1, 10)


def test_a_value_at_a_bound_is_up_to_it() -> None:
    distribution = Distribution(BOUNDS)
    for value in (0, 0.5, 0.6, 1, 10, 11):
        distribution.add(value)
    assert distribution.up_to() == [2, 4, 5, 6]
    assert distribution.count == 6


@given(st.lists(st.floats(min_value=0, max_value=100)))
def test_every_value_is_counted_once_for_each_bound_that_it_is_up_to(values: list[float]) -> None:
    distribution = Distribution(BOUNDS)
    for value in values:
        distribution.add(value)
    assert distribution.up_to() == [*(sum(value <= bound for value in values) for bound in BOUNDS), len(values)]
    assert distribution.total == sum(values)

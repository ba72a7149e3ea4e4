import pytest

from bench.soak import drift


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([100.0] * 30, 0.0),
        ([10.0 * number for number in range(10)] + [100.0] * 20, 0.0),  # it may rise in the first third
        ([100.0] * 10 + [100.0 + number for number in range(20)], 19 / 109.5),
        ([0.0] * 30, 0.0),
        ([5.0], 0.0),
    ],
)
def test_drift_is_the_rise_of_the_last_two_thirds_as_a_part_of_their_mean(values: list[float], expected: float) -> None:
    assert drift(list(enumerate(values))) == pytest.approx(expected)

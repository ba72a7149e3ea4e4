import json

import pytest

from bench.rounds import alternate
from bench.rows import TARGETS, Target, from_json, ratios, row, to_json


@pytest.mark.parametrize(
    ("must", "aim", "value", "met", "aimed"),
    [
        (1.0, 2.0, 0.9, False, False),
        (1.0, 2.0, 1.0, True, False),
        (1.0, 2.0, 2.5, True, True),
        (10.0, 5.0, 11.0, False, False),  # less is better
        (10.0, 5.0, 10.0, True, False),
        (10.0, 5.0, 4.0, True, True),
        (None, None, 4.0, None, None),  # nothing is asked of it
    ],
)
def test_the_aim_tells_which_direction_is_better(
    must: float | None, aim: float | None, value: float, met: bool | None, aimed: bool | None
) -> None:
    target = Target("x", "something", "s", must, aim)
    assert (target.reached(value, must), target.reached(value, aim)) == (met, aimed)


def test_a_row_is_the_median_of_its_rounds_with_the_least_and_the_most() -> None:
    found = row("start", [0.9, 5.0, 1.2])
    assert (found.value, found.spread, found.rounds) == (1.2, (0.9, 5.0), 3)
    assert (found.met, found.aimed) == (True, False)


def test_results_come_back_as_they_were_written() -> None:
    rows = [row(name, [1.0, 2.0]) for name in TARGETS]
    assert list(from_json(to_json(rows))) == rows
    fields = ["name", "value", "unit", "must", "aim", "met", "aimed", "rounds", "spread"]
    assert all(list(each) == fields for each in json.loads(to_json(rows)))


def test_ratios_are_made_round_by_round() -> None:
    assert ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]


async def test_peers_alternate_and_every_second_round_goes_backwards() -> None:
    order = []

    async def measure(name: str) -> float:
        order.append(name)
        return float(len(order))

    found = await alternate(2, {"ours": lambda: measure("ours"), "theirs": lambda: measure("theirs")})
    assert order == ["ours", "theirs", "theirs", "ours"]
    assert found == {"ours": [1.0, 4.0], "theirs": [2.0, 3.0]}

"""Rounds: how often and how long something is measured, and side by side."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

Figures = Mapping[str, Sequence[float]]
"""The rounds of each figure, by the name of its row."""


@dataclass(frozen=True, slots=True)
class Effort:
    rounds: int = 5
    seconds: float = 2.0
    """Of load, in each round."""


QUICK = Effort(rounds=3, seconds=0.3)


async def alternate(rounds: int, measures: Mapping[str, Callable[[], Awaitable[float]]]) -> dict[str, list[float]]:
    """Measure one after the other, round by round, so that what drifts on the machine drifts for all.

    Every second round goes backwards: nobody is always the one that comes after a certain other.
    """
    found: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(rounds):
        for name in list(measures)[:: -1 if number % 2 else 1]:
            found[name].append(await measures[name]())
    return found

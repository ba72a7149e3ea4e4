"""How often values fall into which range: a histogram in plain numbers, so cheap that it can be fed at every run.

For one thread, as everything on the event loop is.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate


class Distribution:
    __slots__ = ("_counts", "bounds", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """``bounds``: the upper end of each range, rising; what is above the last is counted, too."""
        self.bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        """The sum of all values."""

    def add(self, value: float) -> None:
        self._counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        return sum(self._counts)

    def up_to(self) -> list[int]:
        """How many values are up to each of the bounds, and last how many there are at all."""
        return list(accumulate(self._counts))

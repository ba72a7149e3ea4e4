"""How a database that is away is asked again: ever later, and by one trial at a time; all others are refused at once.

Nothing here reads a clock, draws a number or talks to anybody: times are seconds on any one clock, given by the caller.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that double from the first to the longest."""

    first_seconds: float
    longest_seconds: float

    def pause_seconds(self, failures: int, spread: float) -> float:
        """The pause after so many failures in a row. ``spread``, from 0 to 1, takes up to half of it away, so that
        those that failed together do not come back together."""
        doublings = min(max(failures - 1, 0), 30)
        longest = min(self.first_seconds * 2.0**doublings, self.longest_seconds)
        return longest * (1 - spread / 2)


class Circuit:
    """Closed while the database answers. Open from a failure on, until a trial succeeds."""

    def __init__(self, backoff: Backoff, spread: Callable[[], float]) -> None:
        self._backoff = backoff
        self._spread = spread
        self._failures = 0
        self._retry_at = 0.0
        self.reason = ""
        """Why it is open."""

    @property
    def is_open(self) -> bool:
        return self._failures > 0

    def seconds_left(self, now: float) -> float:
        """Until the next trial; 0 if there may be one now."""
        return max(0.0, self._retry_at - now) if self.is_open else 0.0

    def failed(self, now: float, reason: str) -> None:
        self._failures += 1
        self._retry_at = now + self._backoff.pause_seconds(self._failures, self._spread())
        self.reason = reason

    def succeeded(self) -> None:
        self._failures = 0
        self.reason = ""

    def retry_now(self) -> None:
        """End the pause, for somebody has reason to believe that the database is back."""
        self._retry_at = 0.0

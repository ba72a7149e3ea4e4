"""How a domain whose programs crash its executors is slowed down.

Nothing here reads a clock or talks to anybody: times are seconds on any one clock, given by the caller.
"""

import math
from collections import deque
from dataclasses import dataclass

from malgomaj.errors import Busy

WINDOW_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class BackoffRules:
    crashes_forgiven: int
    """So many crashes within a minute cost nothing."""
    first_seconds: float
    """The first pause; each further one is twice as long."""
    max_seconds: float


class CrashHistory:
    """The crashes of one domain's executors, and the pause that the last one costs.

    A run that ends well makes the next pause a short one again, once the last is over for as long as it took: who
    crashes again sooner gains nothing by a harmless run in between. What is older than a minute is forgotten.
    """

    def __init__(self, rules: BackoffRules) -> None:
        self._rules = rules
        self._crashed_at: deque[float] = deque()
        self._reason = ""
        self._pauses = 0
        """Since a run ended well, or a quiet minute."""
        self._pause_seconds = 0.0
        self._paused_until = -math.inf

    def crashed(self, now: float, reason: str) -> None:
        if now >= self._paused_until + WINDOW_SECONDS:
            self._pauses = 0
        self._forget(now)
        self._crashed_at.append(now)
        self._reason = reason
        if self._pauses or len(self._crashed_at) > self._rules.crashes_forgiven:
            self._pause_seconds = self._next_pause_seconds()
            self._paused_until = now + self._pause_seconds
            self._pauses += 1

    def succeeded(self, now: float) -> None:
        """A run ended well."""
        if now >= self._paused_until + self._pause_seconds:
            self._pauses = 0

    def seconds_left(self, now: float) -> float:
        """Of the pause; 0 if there is none."""
        return max(0.0, self._paused_until - now)

    def crashes(self, now: float) -> int:
        """In the last minute."""
        self._forget(now)
        return len(self._crashed_at)

    def forgotten(self, now: float) -> bool:
        """Whether nothing of it matters any more."""
        return not self.crashes(now) and now >= self._paused_until + WINDOW_SECONDS

    def check(self, domain: str, now: float) -> None:
        """Raises Busy while there is a pause."""
        seconds = self.seconds_left(now)
        if seconds:
            raise Busy(
                f"the programs of domain '{domain}' crashed its executor {self.crashes(now)} times in the last minute "
                f"(executors.crashes_forgiven: {self._rules.crashes_forgiven}; last: {self._reason}); "
                f"it is taken up again in {math.ceil(seconds)} s",
                seconds,
            )

    def _next_pause_seconds(self) -> float:
        doublings = min(self._pauses, 30)
        return min(self._rules.first_seconds * 2.0**doublings, self._rules.max_seconds)

    def _forget(self, now: float) -> None:
        while self._crashed_at and self._crashed_at[0] + WINDOW_SECONDS <= now:
            self._crashed_at.popleft()

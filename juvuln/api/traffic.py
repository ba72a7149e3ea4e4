"""Who calls the manager, counted: connections, answers by class of call and of status, and how long webhooks take."""

from collections import Counter
from functools import cache

from shared.connections import ConnectionCount
from shared.distribution import Distribution
from shared.openapi import group_of

WEBHOOK_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
WEBHOOKS, UNKNOWN = "webhooks", "unknown"
CALLS = ("programs", "runs", WEBHOOKS, "subscribers", "library", "status", UNKNOWN)
"""The classes of calls: those of the API's description, with all calls of webhooks in one, and what is none of it."""


class Traffic:
    def __init__(self) -> None:
        self.answers: Counter[tuple[str, str]] = Counter()
        """By class of call and class of status, such as 2xx."""
        self.webhook_seconds = Distribution(WEBHOOK_SECONDS)
        """From a call's head to its answer."""
        self.connections = ConnectionCount()

    def note(self, path: str | None, status: int, seconds: float) -> None:
        """``path``: that of the route; None if there is none."""
        call = _class_of(path)
        self.answers[call, f"{status // 100}xx"] += 1
        if call == WEBHOOKS:
            self.webhook_seconds.add(seconds)


@cache
def _class_of(path: str | None) -> str:
    if path is None:
        return UNKNOWN
    return WEBHOOKS if path.endswith("/webhook") else group_of(path)

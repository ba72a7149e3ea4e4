"""What holds for the runs of a routine, in words. Pure functions."""

from collections.abc import Mapping
from typing import Any

Facts = Mapping[str, Any]


def policy_words(policy: Facts) -> str:
    """The policies of a routine, as the API gives them."""
    words = [
        f"overlap {policy['overlap']}",
        f"missed {policy['missed']}",
        _retry_words(policy["retry"]),
        f"starts within {policy['start_deadline_seconds']:g} s",
    ]
    if policy["jitter_seconds"]:
        words.append(f"jitter {policy['jitter_seconds']:g} s")
    if policy["failures_limit"]:
        words.append(f"given up after {policy['failures_limit']} failures in a row")
    return ", ".join(words)


def _retry_words(retry: Facts) -> str:
    if not retry["count"]:
        return "no retry"
    outcomes = " or ".join(outcome.replace("_", " ") for outcome in retry["outcomes"])
    return f"retry {retry['count']} times when {outcomes}, after {retry['backoff_seconds']:g} s"

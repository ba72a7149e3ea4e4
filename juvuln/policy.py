"""What an operator decides about the runs of a program: the configuration says it for all, tags for one of them.

Values and pure functions. The tags are those of the program; what is no tag of ours is left alone.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from shared.wire import Outcome

PAUSE = "pause"
MAX_SECONDS = 24 * 3600.0
MAX_RETRIES = 100
MAX_FAILURES = 10_000
LONGEST_BACKOFF_SECONDS = 600.0
DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Overlap(StrEnum):
    """What becomes of a due time that comes while an earlier run of the program is under way."""

    SKIP = "skip"
    QUEUE = "queue"
    ALLOW = "allow"
    REPLACE = "replace"


class Missed(StrEnum):
    """What becomes of due times that nobody saw to in time."""

    SKIP = "skip"
    ONCE = "once"
    ALL = "all"


RETRYABLE = (Outcome.FAILED, Outcome.LOST, Outcome.CRASHED, Outcome.TIMED_OUT)
CERTAINLY_ENDED = frozenset(RETRYABLE) - {Outcome.LOST}
"""A run that was lost may have done its work, so it is repeated only where that is asked for."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How a run by schedule that did not end well is repeated."""

    count: int = 0
    """How often it is repeated at most."""
    outcomes: frozenset[Outcome] = CERTAINLY_ENDED
    backoff_seconds: float = 5.0
    """Before the first repetition; each time twice as long, up to ten minutes."""

    def wants(self, outcome: Outcome, attempts: int) -> bool:
        """Whether a run that ended so after so many attempts is to be tried again."""
        return attempts <= self.count and outcome in self.outcomes

    def pause_seconds(self, attempts: int, spread: float) -> float:
        """How long to wait after so many attempts. ``spread``, 0 to 1, takes up to half of it away."""
        return min(self.backoff_seconds * 2.0 ** (attempts - 1), LONGEST_BACKOFF_SECONDS) * (1 - spread / 2)


NO_RETRY = Retry()


@dataclass(frozen=True, slots=True)
class Policy:
    overlap: Overlap = Overlap.SKIP
    overlap_limit: int = 10
    """How many runs of a program may be under way where overlap is allowed."""
    missed: Missed = Missed.SKIP
    missed_limit: int = 100
    """How many missed due times are run where all are to be."""
    retry: Retry = NO_RETRY
    start_deadline_seconds: float = 30.0
    """How late a run may start."""
    jitter_seconds: float = 0.0
    """Up to how much later than due runs start, each program always by the same."""
    failures_limit: int = 0
    """After how many failures in a row the program's state is set to failed; 0: never."""
    paused: bool = False


def policy_of(tags: Sequence[str], defaults: Policy) -> tuple[Policy, tuple[str, ...]]:
    """The policy of a program with these tags, and what is wrong with them; a wrong tag changes nothing."""
    ours = [(tag, *_split(tag)) for tag in dict.fromkeys(tags)]
    counts = Counter(key for _, key, _ in ours if key is not None)
    policy, faults = defaults, []
    for tag, key, value in ours:
        if key is None:
            continue
        try:
            if counts[key] > 1:
                raise ValueError(f"there are {counts[key]} tags for {key}, which contradict each other")
            policy = _TAGS[key](policy, value)
        except ValueError as fault:
            faults.append(f"tag {tag!r}: {fault}")
    return policy, tuple(faults)


def _split(tag: str) -> tuple[str | None, str]:
    """The key and the value of a tag of ours; no key if it is none."""
    key, colon, value = tag.partition(":")
    if key == PAUSE:
        return (key, colon + value)
    return (key, value) if colon and key in _TAGS else (None, "")


def _pause(policy: Policy, value: str) -> Policy:
    if value:
        raise ValueError("is written `pause`, with nothing behind it")
    return replace(policy, paused=True)


def _retry_count(policy: Policy, value: str) -> Policy:
    return replace(policy, retry=replace(policy.retry, count=_whole(value, MAX_RETRIES)))


def _retry_outcomes(policy: Policy, value: str) -> Policy:
    outcomes = frozenset(Outcome(_one_of(name, [each.value for each in RETRYABLE])) for name in value.split(","))
    return replace(policy, retry=replace(policy.retry, outcomes=outcomes))


def _retry_backoff(policy: Policy, value: str) -> Policy:
    return replace(policy, retry=replace(policy.retry, backoff_seconds=_seconds(value)))


_TAGS: Mapping[str, Callable[[Policy, str], Policy]] = {
    "overlap": lambda policy, value: replace(policy, overlap=Overlap(_one_of(value, list(Overlap)))),
    "missed": lambda policy, value: replace(policy, missed=Missed(_one_of(value, list(Missed)))),
    "retry": _retry_count,
    "retry-on": _retry_outcomes,
    "retry-backoff": _retry_backoff,
    "start-deadline": lambda policy, value: replace(policy, start_deadline_seconds=_seconds(value, least=1.0)),
    "jitter": lambda policy, value: replace(policy, jitter_seconds=_seconds(value)),
    "failures": lambda policy, value: replace(policy, failures_limit=_whole(value, MAX_FAILURES)),
    PAUSE: _pause,
}


def _one_of(value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise ValueError(f"{value!r} is none of {', '.join(known)}")
    return value


def _whole(value: str, most: int) -> int:
    if not (value.isascii() and value.isdigit()) or len(value) > len(str(most)) or int(value) > most:
        raise ValueError(f"{value!r} is no whole number from 0 to {most}")
    return int(value)


def _seconds(value: str, least: float = 0.0) -> float:
    """Seconds of a duration such as 90s or 1h30m."""
    parts = DURATION.findall(value)
    if not parts or DURATION.sub("", value):
        raise ValueError(f"{value!r} is no duration such as 30s or 1m30s")
    seconds = sum(float(number) * UNIT_SECONDS[unit] for number, unit in parts)
    if not least <= seconds <= MAX_SECONDS:
        raise ValueError(f"{value} is not from {least:g} s to a day")
    return seconds

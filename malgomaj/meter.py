"""What this worker has done since it started, in plain numbers: counting must cost a short run next to nothing."""

from collections import Counter
from enum import StrEnum

from shared.distribution import Distribution
from shared.wire import Outcome

RUN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
COMPILE_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
OUTCOMES = (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.TIMED_OUT, Outcome.CRASHED, Outcome.CANCELLED)
"""Those that come from a worker."""


class TaskMeter:
    def __init__(self) -> None:
        self.ended: dict[Outcome, int] = dict.fromkeys(OUTCOMES, 0)
        self.seconds = Distribution(RUN_SECONDS)
        """From the acceptance of a task to its end."""
        self.refused_busy = 0
        """Answered with 429."""
        self.refused_draining = 0
        """Answered with 503, as the worker is about to end."""
        self.sources_needed = 0
        """Answered with 409, as their source code was not kept any more."""
        self.cache_hits = 0
        """Runs whose program was found compiled."""
        self.cache_misses = 0

    def note_ended(self, outcome: Outcome, duration_ms: float) -> None:
        self.ended[outcome] += 1
        self.seconds.add(duration_ms / 1000)


class ExecutorEnd(StrEnum):
    """Why the process of an executor has ended."""

    IDLE = "idle"
    PLACE_NEEDED = "place_needed"
    """Another domain needed its place."""
    NOT_STOPPING = "program_does_not_stop"
    """A run did not stop at its deadline."""
    SURPLUS = "surplus"
    """Its domain had too many of those."""
    CRASHED = "crashed"
    FAULTY = "faulty"
    """It did not get ready, or spoke nonsense."""
    LANGUAGES_TOLD = "languages_told"
    """It was started for that at the worker's start."""
    STOPPED = "stopped"
    """The worker is about to end."""


class ExecutorMeter:
    def __init__(self) -> None:
        self.started = 0
        self.ended: Counter[ExecutorEnd] = Counter()
        self.compile_seconds = Distribution(COMPILE_SECONDS)
        """From a program's way to an executor to its answer, whatever that was."""


class Fetched(StrEnum):
    """What came of asking the Library for a module."""

    NEW = "new"
    UNCHANGED = "unchanged"
    MISSING = "missing"
    AWAY = "away"
    """The Library could not be asked, or refused to answer."""

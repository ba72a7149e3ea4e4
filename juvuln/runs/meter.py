"""What became of runs since the manager started, and what keeping the record cost, in plain numbers."""

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum

from juvuln.runs.run import Ending, Run, Trigger
from shared.distribution import Distribution
from shared.wire import Outcome

LAG_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
DURATION_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
WRITE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
BATCH_ROWS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000)


class Result(StrEnum):
    """What an outcome means to who wanted the run."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """It ran, and did not end well."""
    NOT_RUN = "not_run"
    """It did not run, or nobody knows."""


RESULTS: Mapping[Outcome, Result] = {
    Outcome.SUCCEEDED: Result.SUCCEEDED,
    Outcome.FAILED: Result.FAILED,
    Outcome.TIMED_OUT: Result.FAILED,
    Outcome.CRASHED: Result.FAILED,
    Outcome.CANCELLED: Result.FAILED,
    Outcome.LOST: Result.NOT_RUN,
    Outcome.SKIPPED: Result.NOT_RUN,
    Outcome.MISSED: Result.NOT_RUN,
}


class RunMeter:
    """Told by the record of everything that is written there."""

    def __init__(self) -> None:
        self.due = 0
        """Due times put on record; those that were missed together count as one."""
        self.left_open = 0
        """Runs that an earlier life of this manager, or another that is gone, left open; they were closed as lost."""
        self.started: Counter[Trigger] = Counter()
        self.ended: Counter[tuple[str, Trigger, Outcome]] = Counter()
        """By domain, what asked for them, and how they ended."""
        self.lag_seconds = Distribution(LAG_SECONDS)
        """From the due time of a run to its start. Of one that was repeated, only the last start is known: it is left
        out."""
        self.duration_seconds = Distribution(DURATION_SECONDS)
        """How long workers were busy with a run."""

    def by_outcome(self) -> Counter[tuple[Trigger, Outcome]]:
        counted: Counter[tuple[Trigger, Outcome]] = Counter()
        for (_, trigger, outcome), number in self.ended.items():
            counted[trigger, outcome] += number
        return counted

    def by_domain(self) -> Counter[tuple[str, Result]]:
        counted: Counter[tuple[str, Result]] = Counter()
        for (domain, _, outcome), number in self.ended.items():
            counted[domain, RESULTS[outcome]] += number
        return counted

    def count(self, result: Result) -> int:
        return sum(number for (_, _, outcome), number in self.ended.items() if RESULTS[outcome] is result)

    def note_claimed(self, run: Run) -> None:
        if run.trigger is Trigger.SCHEDULE:
            self.due += 1

    def note_ended(self, run: Run, ending: Ending) -> None:
        self.ended[run.program.key.domain, run.trigger, ending.outcome] += 1
        if ending.started_ms is not None:
            self.started[run.trigger] += 1
            if run.due_ms is not None and (ending.attempts or 1) == 1:
                self.lag_seconds.add(max(0, ending.started_ms - run.due_ms) / 1000)
        if ending.duration_ms is not None:
            self.duration_seconds.add(ending.duration_ms / 1000)


class WriteMeter:
    """Told by the writer of the record."""

    def __init__(self) -> None:
        self.rows = Distribution(BATCH_ROWS)
        """Claims and endings that went into a transaction."""
        self.seconds = Distribution(WRITE_SECONDS)
        """How long a transaction took."""
        self.errors = 0
        """Transactions that failed."""

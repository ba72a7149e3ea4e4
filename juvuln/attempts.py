"""The attempts of one run so far, and what its record is to tell of them."""

from juvuln.dispatch import Result
from juvuln.policy import Retry
from juvuln.runs.run import Ending
from shared.wire import ErrorKind, Outcome

NEVER_BEGUN = frozenset({Outcome.SKIPPED, Outcome.MISSED})


class Tried:
    """What counts is the last attempt that was begun, for it may have had its effect; the others are told of."""

    def __init__(self, retry: Retry, first: Result) -> None:
        self._retry = retry
        self._result = first
        self._which = 1
        """Which of the attempts that one is."""
        self._others: dict[int, str] = {}
        self._started = first.ending.attempts or 1
        self.count = 1

    @property
    def in_words(self) -> str:
        """How the last attempt that was begun ended."""
        return _in_words(self._result.ending)

    def may_go_on(self) -> bool:
        """Whether there is to be another attempt, and it might end otherwise: what does not compile never will."""
        ending = self._result.ending
        compiles = ending.error is None or ending.error.kind is not ErrorKind.COMPILE
        return compiles and self._retry.wants(ending.outcome, self.count)

    def add(self, again: Result) -> None:
        self.count += 1
        if again.ending.outcome in NEVER_BEGUN:
            self._others[self.count] = _in_words(again.ending)
            return
        self._others[self._which] = self.in_words
        self._result, self._which = again, self.count
        self._started += again.ending.attempts or 1

    def told(self, not_repeated: str | None = None) -> Result:
        """The result of all of them; ``not_repeated``: why there is no other, where there was to be one."""
        if self.count == 1 and not_repeated is None:
            return self._result
        which = f"attempt {self._which} of {self._retry.count + 1}"
        which += f", not repeated: {not_repeated}" if not_repeated else ""
        others = [f"attempt {number}: {words}" for number, words in sorted(self._others.items())]
        ending = self._result.ending
        reason = joined(ending.reason, "; ".join([which, *others]))
        return self._result._replace(ending=ending._replace(reason=reason, attempts=self._started))


def joined(reason: str | None, note: str | None) -> str | None:
    """A reason with a note behind it; either may be missing."""
    if reason is None or note is None:
        return reason or note
    return f"{reason} ({note})"


def _in_words(ending: Ending) -> str:
    why = ending.reason or (str(ending.error) if ending.error else "")
    return f"{ending.outcome.value}: {why}" if why else ending.outcome.value

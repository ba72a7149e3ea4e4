"""Programs that fail again and again: where it is asked for they are set to failed in their domain."""

from collections.abc import Awaitable, Callable, Iterable, Sequence

import structlog

from juvuln.database import DatabaseError
from juvuln.domains.store import NotFoundError
from juvuln.programs import Program
from juvuln.runs.run import Ending, PastEnding, Run
from shared.wire import Outcome

FAILURES = frozenset({Outcome.FAILED, Outcome.CRASHED, Outcome.TIMED_OUT})
"""Outcomes that are the program's own fault; but for a success, the others count for nothing."""
SET_TO_FAILED = "so the program's state was set to failed"
"""In the reason of a run: whoever set it to active since then begins anew."""

log = structlog.get_logger()

Past = Callable[[Program, Iterable[Outcome], int], Awaitable[Sequence[PastEnding]]]
"""How runs of a program ended, in one of these ways, newest first, up to a number. Raises DatabaseError."""


class Failures:
    """Counts what is on record: a restart forgets nothing, and managers on one record count together."""

    def __init__(self, past: Past, set_failed: Callable[[Program], Awaitable[bool]]) -> None:
        """``set_failed`` tells whether it did: not if the program is another by now.

        It may raise DatabaseError and NotFoundError.
        """
        self._past = past
        self._set_failed = set_failed

    async def ended(self, run: Run, ending: Ending) -> str | None:
        """See to a run that is about to end so; gives what was done to its program, if that failed too often."""
        limit = run.failures_limit
        if not limit or ending.outcome not in FAILURES:
            return None
        try:
            past = await self._past(run.program, {Outcome.SUCCEEDED, *FAILURES}, limit - 1)
            if 1 + _in_a_row(past, run.program.revision) < limit or not await self._set_failed(run.program):
                return None
        except (DatabaseError, NotFoundError) as error:
            log.error("program_not_set_to_failed", name=run.program.name, reason=str(error), **run.facts)
            return "whether it failed too often could not be seen, or its state not be set to failed"
        log.error("program_set_to_failed", name=run.program.name, failures=limit, **run.facts)
        return f"it failed {limit} times in a row, {SET_TO_FAILED}"


def _in_a_row(past: Iterable[PastEnding], revision: int) -> int:
    """How many of the newest are failures of this revision, since it was last set to failed."""
    count = 0
    for each in past:
        if each.outcome not in FAILURES or each.revision != revision or SET_TO_FAILED in (each.reason or ""):
            break
        count += 1
    return count

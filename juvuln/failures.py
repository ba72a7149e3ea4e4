"""Programs that fail again and again: counted, and where it is asked for set to failed in their domain."""

from collections.abc import Awaitable, Callable

import structlog

from juvuln.database import DatabaseError
from juvuln.domains.store import NotFoundError
from juvuln.programs import Program, ProgramKey
from juvuln.runs.run import Ending, Run
from shared.wire import Outcome

FAILURES = frozenset({Outcome.FAILED, Outcome.CRASHED, Outcome.TIMED_OUT})
"""Outcomes that are the program's own fault; the others count neither as a failure nor as a success."""

log = structlog.get_logger()


class Failures:
    """Counts since the manager was started. A new revision begins anew."""

    def __init__(self, set_failed: Callable[[Program], Awaitable[bool]]) -> None:
        """``set_failed`` tells whether it did: not if the program is another by now.

        It may raise DatabaseError and NotFoundError.
        """
        self._set_failed = set_failed
        self._counts: dict[ProgramKey, tuple[int, int]] = {}
        """The revision, and how often it failed in a row."""

    async def ended(self, run: Run, ending: Ending) -> str | None:
        """Take note of an ending; gives what was done to the program, if it failed too often."""
        key, revision = run.program.key, run.program.revision
        if ending.outcome is Outcome.SUCCEEDED:
            self._counts.pop(key, None)
        if not run.failures_limit or ending.outcome not in FAILURES:
            return None
        known, count = self._counts.get(key, (revision, 0))
        count = count + 1 if known == revision else 1
        self._counts[key] = revision, count
        if count < run.failures_limit:
            return None
        try:
            if not await self._set_failed(run.program):
                return None
        except (DatabaseError, NotFoundError) as error:
            log.error("program_not_set_to_failed", name=run.program.name, program=str(key), reason=str(error))
            return f"it failed {count} times in a row, but its state could not be set to failed"
        del self._counts[key]
        log.error("program_set_to_failed", name=run.program.name, program=str(key), failures=count)
        return f"it failed {count} times in a row, so the program's state was set to failed"

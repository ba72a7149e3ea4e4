"""A claimed run, to the end of its record: have it attempted, and close the record whatever happens."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import structlog
from structlog.contextvars import bound_contextvars

from juvuln.clock import Clock
from juvuln.dispatch import Result
from juvuln.live import LiveRuns
from juvuln.runs.run import Ending, Run
from shared.wire import Outcome, TaskRequest

log = structlog.get_logger()


class Attempts(Protocol):
    """Who gets one attempt of a run done by workers."""

    async def attempt(self, run: Run, request: TaskRequest | None = None) -> Result: ...


class Closes(Protocol):
    """The part of the record that is needed here."""

    def close(self, run: Run, ending: Ending) -> None: ...


class Runner:
    def __init__(self, dispatcher: Attempts, record: Closes, clock: Clock, live: LiveRuns) -> None:
        self._dispatcher = dispatcher
        self._record = record
        self._clock = clock
        self._live = live

    async def execute(self, run: Run, request: TaskRequest | None = None) -> Result:
        """Bring a claimed run to its end and close its record, whatever happens."""
        key = run.program.key
        self._live.begin(run.id)
        with bound_contextvars(run=run.id, program=str(key.uuid), domain=key.domain):
            try:
                result = await self._dispatcher.attempt(run, request)
            except asyncio.CancelledError:
                self._close(run, self._ending(Outcome.LOST, "the manager ended before the worker answered"))
                raise
            except Exception:
                log.exception("dispatch_failed")
                result = Result(self._ending(Outcome.LOST, "internal error of the manager; its log has the details"))
            sized = replace(
                result.ending,
                request_bytes=len(request.body) if request else None,
                answer_bytes=len(result.answer.body) if result.answer else None,
                answer_status=result.answer.status if result.answer else None,
            )
            self._close(run, sized)
            return replace(result, ending=sized)

    def _ending(self, outcome: Outcome, reason: str | None) -> Ending:
        return Ending(outcome=outcome, ended_ms=self._clock.now_ms(), reason=reason)

    def _close(self, run: Run, ending: Ending) -> None:
        self._record.close(run, ending)
        self._live.end(run.id, ending)
        note: Callable[..., Any] = log.info if ending.outcome is Outcome.SUCCEEDED else log.warning
        note(
            "run_ended",
            name=run.program.name,
            outcome=ending.outcome.value,
            worker=ending.worker,
            duration_ms=ending.duration_ms,
            reason=ending.reason or (str(ending.error) if ending.error else None),
        )

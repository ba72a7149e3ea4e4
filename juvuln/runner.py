"""A claimed run, to the end of its record: have it attempted, perhaps again, and close the record whatever happens."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import structlog
from structlog.contextvars import bound_contextvars

from juvuln.clock import Clock
from juvuln.dispatch import Result
from juvuln.failures import Failures
from juvuln.live import LiveRuns
from juvuln.programs import Program
from juvuln.runs.run import Ending, Run
from shared.wire import ErrorKind, Outcome, TaskRequest

NEVER_BEGUN = frozenset({Outcome.SKIPPED, Outcome.MISSED})

log = structlog.get_logger()


class Attempts(Protocol):
    """Who gets one attempt of a run done by workers."""

    async def attempt(self, run: Run, request: TaskRequest | None = None) -> Result: ...


class Closes(Protocol):
    """The part of the record that is needed here."""

    def close(self, run: Run, ending: Ending) -> None: ...


@dataclass(slots=True, eq=False)
class UnderWay:
    task: asyncio.Task[Any]
    cancelled: str | None = None
    """Why it was cancelled, if it was."""


class Runner:
    """``spread`` gives a number from 0 to 1, another each time: runs that failed together are not repeated together.

    ``why_not_again`` is asked before a run is repeated: its program may have been mended, paused or taken away.
    """

    def __init__(
        self,
        dispatcher: Attempts,
        record: Closes,
        clock: Clock,
        live: LiveRuns,
        failures: Failures,
        spread: Callable[[], float],
        why_not_again: Callable[[Program], str | None],
    ) -> None:
        self._dispatcher = dispatcher
        self._record = record
        self._clock = clock
        self._live = live
        self._failures = failures
        self._spread = spread
        self._why_not_again = why_not_again
        self._under_way: dict[str, UnderWay] = {}
        self._stopping = asyncio.Event()

    async def execute(self, run: Run, request: TaskRequest | None = None) -> Result:
        """Bring a claimed run to its end and close its record, whatever happens."""
        key = run.program.key
        self._live.begin(run.id)
        with bound_contextvars(run=run.id, program=str(key.uuid), domain=key.domain):
            result, note = None, None
            try:
                result = await self._cancellable(run, request)
                note = await self._failures.ended(run, result.ending)
            except asyncio.CancelledError:
                self._end(run, result.ending if result else self._cut_off(run))
                raise
            except Exception:
                log.exception("dispatch_failed")
                wrong = "internal error of the manager; its log has the details"
                result = result or Result(self._ending(Outcome.LOST, wrong))
            closed = replace(
                result.ending,
                reason=_joined(result.ending.reason, note),
                request_bytes=len(request.body) if request else None,
                answer_bytes=len(result.answer.body) if result.answer else None,
                answer_status=result.answer.status if result.answer else None,
            )
            self._end(run, closed)
            return replace(result, ending=closed)

    def cancel(self, run_id: str, reason: str) -> None:
        """End a run, at its worker too; it is recorded as cancelled. One that has ended is left alone."""
        under_way = self._under_way.get(run_id)
        if under_way is not None and under_way.cancelled is None:
            under_way.cancelled = reason
            under_way.task.cancel()

    def stop(self) -> None:
        """Repeat nothing any more. What is with a worker goes on."""
        self._stopping.set()

    def close(self, run: Run, ending: Ending) -> None:
        """Close the record of a claimed run that is not executed."""
        self._record.close(run, ending)
        note: Callable[..., Any] = log.info if ending.outcome is Outcome.SUCCEEDED else log.warning
        note(
            "run_ended",
            name=run.program.name,
            outcome=ending.outcome.value,
            worker=ending.worker,
            duration_ms=ending.duration_ms,
            reason=ending.reason or (str(ending.error) if ending.error else None),
        )

    def _end(self, run: Run, ending: Ending) -> None:
        self.close(run, ending)
        self._live.end(run.id, ending)

    async def _cancellable(self, run: Run, request: TaskRequest | None) -> Result:
        task = asyncio.current_task()
        assert task is not None, "a run is executed in a task"
        under_way = self._under_way[run.id] = UnderWay(task)
        try:
            return await self._attempt_until_it_ends_well(run, request)
        except asyncio.CancelledError:
            # Somebody else may have cancelled the task as well, and then it must end.
            if under_way.cancelled is None or task.uncancel() > 0:
                raise
            return Result(self._ending(Outcome.CANCELLED, under_way.cancelled))
        finally:
            del self._under_way[run.id]

    async def _attempt_until_it_ends_well(self, run: Run, request: TaskRequest | None) -> Result:
        result = await self._dispatcher.attempt(run, request)
        attempts = which = 1
        started, others = result.ending.attempts or 1, dict[int, str]()
        while run.retry.wants(result.ending.outcome, attempts) and _may_change(result.ending):
            words, pause_seconds = _in_words(result.ending), run.retry.pause_seconds(attempts, self._spread())
            log.info("run_repeated", attempt=attempts + 1, pause_seconds=round(pause_seconds, 3), reason=words)
            stopped = "the manager was stopped" if await self._stopped_within(pause_seconds) else None
            if why := stopped or self._why_not_again(run.program):
                return _told(result, f"attempt {which} of {run.retry.count + 1}, not repeated: {why}", others, started)
            again = await self._dispatcher.attempt(replace(run, start_by_ms=None), request)
            attempts += 1
            if again.ending.outcome in NEVER_BEGUN:
                # What the record says must be true of the attempt that was begun, and may have had its effect.
                others[attempts] = _in_words(again.ending)
                continue
            others[which] = words
            result, which, started = again, attempts, started + (again.ending.attempts or 1)
        if attempts == 1:
            return result
        return _told(result, f"attempt {which} of {run.retry.count + 1}", others, started)

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return False
        return True

    def _cut_off(self, run: Run) -> Ending:
        """How a run ends when the manager does not wait for it any more."""
        live = self._live.find(run.id)
        if live is not None and live.worker is None:
            return self._ending(Outcome.SKIPPED, "the manager ended before it was handed to a worker")
        return self._ending(Outcome.LOST, "the manager ended before the worker answered")

    def _ending(self, outcome: Outcome, reason: str | None) -> Ending:
        return Ending(outcome=outcome, ended_ms=self._clock.now_ms(), reason=reason)


def _may_change(ending: Ending) -> bool:
    """Whether another attempt might end otherwise. What does not compile never will."""
    return ending.error is None or ending.error.kind is not ErrorKind.COMPILE


def _told(result: Result, which: str, others: Mapping[int, str], started: int) -> Result:
    """The result of the last attempt that was begun, which tells of the others."""
    in_order = [f"attempt {number}: {words}" for number, words in sorted(others.items())]
    told = _joined(result.ending.reason, "; ".join([which, *in_order]))
    return replace(result, ending=replace(result.ending, reason=told, attempts=started))


def _in_words(ending: Ending) -> str:
    why = ending.reason or (str(ending.error) if ending.error else "")
    return f"{ending.outcome.value}: {why}" if why else ending.outcome.value


def _joined(reason: str | None, note: str | None) -> str | None:
    if reason is None or note is None:
        return reason or note
    return f"{reason} ({note})"

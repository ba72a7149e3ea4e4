"""A claimed run, to the end of its record: have it attempted, perhaps again, and close the record whatever happens."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from juvuln.attempts import Tried, joined
from juvuln.clock import Clock
from juvuln.dispatch import Result
from juvuln.failures import Failures
from juvuln.live import LiveRuns
from juvuln.programs import Program
from juvuln.runs.managers import LEFT_OPEN
from juvuln.runs.run import Ending, Run
from juvuln.workers import Worker
from shared.wire import Outcome

ASK_AGAIN_SECONDS = 0.25

log = structlog.get_logger()


class Attempts(Protocol):
    """Who gets one attempt of a run done by workers (:class:`juvuln.dispatch.Dispatcher`)."""

    async def attempt(self, run: Run) -> Result: ...
    async def end(self, run: Run, worker: Worker) -> bool: ...


class Closes(Protocol):
    """The part of the record that is needed here."""

    def close(self, run: Run, ending: Ending) -> None: ...


@dataclass(slots=True, eq=False)
class UnderWay:
    run: Run
    task: asyncio.Task[Any]
    tried: Tried | None = None
    """There once the first attempt has ended."""
    cancelled: str | None = None
    """Why it is to end early, if it is."""
    ending: asyncio.Task[None] | None = None
    """What sees to that."""
    interrupted: bool = False
    """Whether its task was cancelled for it."""


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
        # Not the logger of the module, which looks for the true one again at every line, and here is one for each run.
        self._log = log.bind()
        self._stopping = asyncio.Event()

    async def execute(self, run: Run) -> Result:
        """Bring a claimed run to its end and close its record, whatever happens."""
        self._live.begin(run.id)
        result, note = None, None
        try:
            result = await self._cancellable(run)
            note = await self._failures.ended(run, result.ending)
        except asyncio.CancelledError:
            self._end(run, result.ending if result else self._cut_off(run))
            raise
        except Exception:
            log.exception("dispatch_failed", **run.facts)
            wrong = "internal error of the manager; its log has the details"
            result = result or Result(self._ending(Outcome.LOST, wrong))
        result = _completed(run, result, note)
        self._end(run, result.ending)
        return result

    def cancel(self, run_id: str, reason: str) -> None:
        """End a run, at its worker too; :meth:`execute` returns when it has ended there. It is not repeated.

        One that has ended is left alone.
        """
        under_way = self._under_way.get(run_id)
        if under_way is not None and under_way.cancelled is None:
            under_way.cancelled = reason
            under_way.ending = asyncio.get_running_loop().create_task(self._end_early(under_way))

    def withdraw(self, run_id: str, reason: str) -> None:
        """End a run that no worker was told to begin yet. One that may have begun goes on."""
        live = self._live.find(run_id)
        if live is not None and live.worker is None:
            self.cancel(run_id, reason)

    def stop(self) -> None:
        """Repeat nothing any more. What is with a worker goes on."""
        self._stopping.set()

    def close(self, run: Run, ending: Ending) -> None:
        """Close the record of a claimed run that is not executed."""
        self._record.close(run, ending)
        note: Callable[..., Any] = self._log.info if ending.outcome is Outcome.SUCCEEDED else self._log.warning
        note(
            "run_ended",
            name=run.program.name,
            outcome=ending.outcome.value,
            worker=ending.worker,
            duration_ms=ending.duration_ms,
            reason=ending.reason or (str(ending.error) if ending.error else None),
            **run.facts,
        )

    def _end(self, run: Run, ending: Ending) -> None:
        self.close(run, ending)
        self._live.end(run.id, ending)

    async def _cancellable(self, run: Run) -> Result:
        task = asyncio.current_task()
        assert task is not None, "a run is executed in a task"
        under_way = self._under_way[run.id] = UnderWay(run, task)
        try:
            if run.retry.count:
                result = await self._attempt_until_it_ends_well(run, under_way)
            else:
                result = await self._dispatcher.attempt(run)
        except asyncio.CancelledError:
            # Somebody else may have cancelled the task as well, and then it must end.
            if not under_way.interrupted or task.uncancel() > 0:
                raise
            if under_way.tried is not None:
                return under_way.tried.told(under_way.cancelled)
            return Result(self._ending(Outcome.CANCELLED, under_way.cancelled))
        finally:
            del self._under_way[run.id]
            if under_way.ending is not None:
                under_way.ending.cancel()
        return _with_reason(result, under_way.cancelled)

    async def _end_early(self, under_way: UnderWay) -> None:
        """Have its worker end a run, whose answer then says that it has ended. Without a worker it ends at once."""
        live = self._live.find(under_way.run.id)
        while live is not None and live.at_worker and live.worker is not None:
            if await self._dispatcher.end(under_way.run, live.worker):
                return
            # It may still be on its way there, or the worker cannot be told: then it goes on to its end.
            await asyncio.sleep(ASK_AGAIN_SECONDS)
        under_way.interrupted = True
        under_way.task.cancel()

    async def _attempt_until_it_ends_well(self, run: Run, under_way: UnderWay) -> Result:
        tried = under_way.tried = Tried(run.retry, await self._dispatcher.attempt(run))
        while tried.may_go_on():
            # A worker that was told to end it may have lost it, or the program failed in that moment.
            if why := under_way.cancelled or await self._why_not_after_pause(under_way, tried):
                return tried.told(why)
            tried.add(await self._dispatcher.attempt(run._replace(start_by_ms=None, not_before_ms=None)))
        return tried.told()

    async def _why_not_after_pause(self, under_way: UnderWay, tried: Tried) -> str | None:
        """Wait until a run is to be repeated; gives why it is not, if so."""
        run = under_way.run
        pause_seconds = run.retry.pause_seconds(tried.count, self._spread())
        attempt, reason = tried.count + 1, tried.in_words
        log.info("run_repeated", attempt=attempt, pause_seconds=round(pause_seconds, 3), reason=reason, **run.facts)
        stopped = "the manager was stopped" if await self._stopped_within(pause_seconds) else None
        return stopped or under_way.cancelled or self._why_not_again(run.program)

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
        if live is not None and not (live.at_worker or live.begun):
            return self._ending(Outcome.SKIPPED, "the manager ended before it was handed to a worker")
        return self._ending(Outcome.LOST, LEFT_OPEN)

    def _ending(self, outcome: Outcome, reason: str | None) -> Ending:
        return Ending(outcome=outcome, ended_ms=self._clock.now_ms(), reason=reason)


def _completed(run: Run, result: Result, note: str | None) -> Result:
    """With what was said of its program, and how much a call asked."""
    ending = result.ending
    if note is not None:
        ending = ending._replace(reason=joined(ending.reason, note))
    if run.call is not None and ending.request_bytes is None:
        ending = ending._replace(request_bytes=len(run.call.body))
    return Result(ending, result.answer)


def _with_reason(result: Result, cancelled: str | None) -> Result:
    """The result of a run that was to end early, for this reason: nobody needs it if it came to its own end."""
    ending = result.ending
    if ending.outcome is Outcome.CANCELLED:
        return Result(ending._replace(reason=joined(cancelled, ending.reason)), result.answer)
    if ending.outcome is Outcome.LOST:
        return Result(ending._replace(reason=joined(ending.reason, cancelled)), result.answer)
    return result

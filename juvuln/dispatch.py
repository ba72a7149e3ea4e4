"""One attempt of a run: choose a worker, post the task, understand the answer.

A run is moved to another worker only if it certainly did not start on the first. Where that is not certain it is lost.
"""

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

import structlog

from juvuln.answers import NotStarted, Said, Unanswered, Why
from juvuln.batch_call import Start
from juvuln.batches import ROOM_BYTES, Batches
from juvuln.clock import Clock
from juvuln.due import LONGEST_WAITED_SETBACK_MS
from juvuln.fairness import Places
from juvuln.live import LiveRuns
from juvuln.runs.run import Ending, Run
from juvuln.task_json import task_json
from juvuln.worker_client import WorkerClient
from juvuln.workers import Content, SourceForm, Worker, WorkerRegistry, WorkerState
from shared.time_limits import TimeLimit, TimeLimits
from shared.wire import Outcome, TaskAnswer

ANSWER_MARGIN_MS = 5_000
"""How long after its deadline a run's answer is waited for before the run is given up as lost."""
LAST_WORD_SECONDS = 1.0
"""How long after its worker was found to be gone: what cannot even connect is to find that out for itself, since then
it certainly did not start."""
LONGEST_PLAIN_SOURCE_BYTES = 128
"""Source code that is no longer is sent each time: its digest would save nothing."""

LONGEST_SLEEP_SECONDS = 1.0
"""The wall clock is looked at this often, for it may be set while a run waits for its time."""
CLOCK_TOLERANCE_SECONDS = 0.01
"""By so much the loop's clock and that of the wall may differ over the time for which a run is held."""
MOST_HELD_BYTES = 64 * 1024 * 1024
"""Tasks at workers before their time, which are kept here as long. What is claimed beyond that waits for its time."""
LEAST_HELD_BYTES = 4096
"""What a task is counted with, besides its source code."""

log = structlog.get_logger()


class Result(NamedTuple):
    """What became of a run, and what the program answered if it was a webhook."""

    ending: Ending
    answer: TaskAnswer | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A worker did not take the run."""

    worker: str
    why: Why
    reason: str
    until: float
    """When it may be asked again, by the loop's clock."""

    def __str__(self) -> str:
        return f"{self.worker}: {self.reason}"


@dataclass(slots=True)
class Handover:
    """Whether and when (ms since 1970) a worker was told to begin a run."""

    at_ms: int | None = None


Refusals = Mapping[UUID, Refused]


class Dispatcher:
    def __init__(
        self,
        workers: WorkerRegistry,
        client: WorkerClient,
        clock: Clock,
        library_state: Callable[[str], str],
        live: LiveRuns,
        *,
        parallel: int,
        wait_for_worker_seconds: float,
    ) -> None:
        """``library_state`` gives what stands for the present state of a domain's programs; empty where not known."""
        self._workers = workers
        self._client = client
        self._batches = Batches(client)
        self._clock = clock
        self._library_state = library_state
        self._live = live
        self._places = Places(parallel)
        self._loop = asyncio.get_running_loop()
        self._patience = TimeLimits(self._loop)
        self._wait_for_worker_seconds = wait_for_worker_seconds
        self._held_bytes = 0
        """Of the tasks that were handed to workers before their time."""

    async def attempt(self, run: Run) -> Result:
        """Have a claimed run done by a worker, once. Its record is left open."""
        domain, language = run.program.key.domain, run.program.language
        if (late := self._missed(run)) is not None:
            return late
        if run.not_before_ms is not None and (result := await self._attempt_ahead(run)) is not None:
            return result
        # Nobody takes a place to wait for a worker.
        if not self._workers.has(language) and not await self._next_worker(run, {}, self._loop.time()):
            return Result(self._ending(Outcome.SKIPPED, self._no_worker(language, {})))
        await self._places.take(domain)
        try:
            return self._missed(run) or await self._dispatch(run)
        finally:
            self._places.give_back(domain)

    async def end(self, run: Run, worker: Worker) -> bool:
        """Have a run ended at the worker that has it, which then answers it. False if that is to be asked again."""
        return worker.ends_runs and await self._client.end_run(worker, run.id)

    async def _attempt_ahead(self, run: Run) -> Result | None:
        """Hand a run to a worker before its time. None, and then its time has come, if that did not begin it.

        It takes none of the places, which are for what is under way: its time comes as soon as it can.
        """
        if self._seconds_early(run) <= 0:
            return None
        self._live.claim_ahead(run.id)
        try:
            if (result := await self._held_by_worker(run)) is not None:
                return result
            while (seconds := self._seconds_early(run)) > 0:  # noqa: ASYNC110 - what is waited for is the clock
                await asyncio.sleep(min(seconds, LONGEST_SLEEP_SECONDS))
        finally:
            self._live.come_due(run.id)
        return None

    def _seconds_early(self, run: Run) -> float:
        """How long it is until a run may begin. If the clock was set back by more than is waited out, it may now."""
        early_ms = 0 if run.not_before_ms is None else run.not_before_ms - self._clock.now_ms()
        return early_ms / 1000 if early_ms <= LONGEST_WAITED_SETBACK_MS else 0.0

    async def _held_by_worker(self, run: Run) -> Result | None:
        """The result of a run that a worker held until its time; None if none did, or it was not begun."""
        worker = self._workers.choose(run.program.language, (), _content(run))
        if worker is None or not worker.holds_tasks:
            return None
        form = self._source_form(worker, run)
        size_bytes = LEAST_HELD_BYTES + (0 if form is SourceForm.DIGEST else len(run.program.code))
        if self._held_bytes + size_bytes > MOST_HELD_BYTES:
            return None
        self._held_bytes += size_bytes
        try:
            at = self._loop.time() + self._seconds_early(run)
            return await self._send(worker, run, form, at)
        except NotStarted as turn:
            log.debug("run_not_started_ahead", worker=worker.name, reason=turn.reason, **run.facts)
            self._learn(worker, run, turn, form)
            return None
        finally:
            self._held_bytes -= size_bytes

    def _check_begin(self, run: Run, worker: Worker) -> None:
        """Before a worker is told to begin what it holds. Raises NotStarted if that is not to be after all."""
        if self._missed(run):
            raise NotStarted(Why.OURS, "was to begin it too late")
        if self._seconds_early(run) > CLOCK_TOLERANCE_SECONDS:
            raise NotStarted(Why.OURS, "was to begin it when the clock was set back")
        if not self._workers.is_open(worker.uuid):
            raise NotStarted(Why.OURS, "gets no new runs")

    def _missed(self, run: Run) -> Result | None:
        """What becomes of a run that it is too late to start; None if it is not."""
        if run.start_by_ms is None or (now_ms := self._clock.now_ms()) <= run.start_by_ms:
            return None
        return Result(Ending(Outcome.MISSED, ended_ms=now_ms, reason=_too_late(run, now_ms)))

    async def _dispatch(self, run: Run) -> Result:
        """Try worker after worker until one has taken the run."""
        refusals: dict[UUID, Refused] = {}
        began = self._loop.time()
        while worker := await self._next_worker(run, refusals, began):
            if (late := self._missed(run)) is not None:
                return late  # for the wall clock may have been set while a worker was waited for
            form = self._source_form(worker, run)
            try:
                return await self._send(worker, run, form)
            except NotStarted as turn:
                rest_seconds = turn.retry_after_seconds
                if self._learn(worker, run, turn, form):
                    rest_seconds = 0.0  # it can have its source at once
                elif worker.uuid not in refusals:
                    log.warning("worker_did_not_start_run", worker=worker.name, reason=turn.reason, **run.facts)
                until = self._loop.time() + rest_seconds
                refusals[worker.uuid] = Refused(worker.name, turn.why, turn.reason, until)
        return Result(self._ending(Outcome.SKIPPED, self._no_worker(run.program.language, refusals)))

    def _learn(self, worker: Worker, run: Run, turn: NotStarted, form: SourceForm) -> bool:
        """What a worker that did not take a run is good for from now on. True if it only needs the source code."""
        if turn.why is Why.SOURCE_NEEDED and form is SourceForm.DIGEST:
            self._workers.source_needed(worker.uuid, _content(run))
            return True
        if turn.why is Why.GONE:
            self._workers.lose(worker.uuid, "takes no connection any more")
        elif turn.why is Why.STRANGER:
            self._workers.leave(worker.uuid)
        elif turn.why is Why.UNREACHABLE:
            self._workers.cannot_reach(worker.uuid)
        return False

    async def _next_worker(self, run: Run, refusals: Refusals, began: float) -> Worker | None:
        """The worker to try next, as soon as there is one. None if there is none for as long as can be waited."""
        if not refusals and (worker := self._workers.choose(run.program.language, (), _content(run))):
            return worker
        now = self._loop.time()
        latest = self._latest_start(run, now)
        while now <= latest:
            resting = {uuid: refused.until for uuid, refused in refusals.items() if refused.until > now}
            if worker := self._workers.choose(run.program.language, resting, _content(run)):
                return worker
            give_up = self._give_up(refusals, began, latest)
            if now >= give_up:
                return None
            try:
                async with asyncio.timeout_at(min([give_up, *resting.values()])):
                    await self._workers.arrival()
            except TimeoutError:
                pass
            now = self._loop.time()
        return None

    def _latest_start(self, run: Run, now: float) -> float:
        """Until when the run may be handed to a worker, by the loop's clock, which shows ``now``."""
        return math.inf if run.start_by_ms is None else now + (run.start_by_ms - self._clock.now_ms()) / 1000

    def _give_up(self, refusals: Refusals, began: float, latest: float) -> float:
        """Workers that are busy are waited for until it is too late to start; others as long as is configured."""
        if latest < math.inf and any(refused.why is Why.BUSY for refused in refusals.values()):
            return latest
        return min(latest, began + self._wait_for_worker_seconds)

    def _source_form(self, worker: Worker, run: Run) -> SourceForm:
        if len(run.program.code) <= LONGEST_PLAIN_SOURCE_BYTES:
            return SourceForm.WHOLE
        return self._workers.source_form(worker.uuid, _content(run))

    async def _send(self, worker: Worker, run: Run, form: SourceForm, at: float | None = None) -> Result:
        """Have one worker do it, now or, after it has held it, ``at`` a time of the loop's clock. Raises NotStarted."""
        handover = Handover()
        if at is None:
            self._hand_over(run, worker, handover)
        begun = True
        try:
            said = await self._said(worker, run, form, handover, at)
        except Unanswered as failure:
            said = Said(Outcome.LOST, reason=failure.reason)
        except NotStarted:
            begun = False
            raise
        finally:
            self._live.take_back(run.id, begun=begun and handover.at_ms is not None)
        ending = Ending(
            outcome=said.outcome,
            ended_ms=self._clock.now_ms(),
            reason=said.reason,
            # Rounded down, lest it be after its end, and the next one's start before it.
            started_ms=None if handover.at_ms is None else handover.at_ms + int(said.waited_ms or 0),
            duration_ms=said.duration_ms,
            worker=worker.name,
            error=said.error,
            log=said.log,
            modules=said.modules,
            request_bytes=None if run.call is None else len(run.call.body),
            answer_bytes=None if said.answer is None else len(said.answer.body),
            answer_status=None if said.answer is None else said.answer.status,
            attempts=said.attempts,
        )
        return Result(ending, said.answer)

    def _hand_over(self, run: Run, worker: Worker, handover: Handover) -> None:
        handover.at_ms = self._clock.now_ms()
        self._live.hand_over(run.id, worker)

    async def _said(
        self,
        worker: Worker,
        run: Run,
        form: SourceForm,
        handover: Handover,
        at: float | None,
    ) -> Said:
        """What the worker says, if it does in time and while it is there. Raises NotStarted, Unanswered."""
        deadline_ms = run.program.effective_deadline_ms
        patience = TimeLimit(self._loop, deadline_ms + ANSWER_MARGIN_MS)
        placement = self._workers.place(worker.uuid, _content(run), deadline_ms, lambda: self._hurry(patience))

        def begin() -> None:
            self._check_begin(run, worker)
            if placement.gone is not None:
                raise NotStarted(Why.OURS, placement.gone)
            self._begin_patience(patience)
            self._hand_over(run, worker, handover)

        start = None
        if at is None:
            self._begin_patience(patience)
        elif run.not_before_ms is not None:
            start = Start(run.not_before_ms, at, begin)  # what is held takes no time yet
        try:
            said = await self._ask(worker, run, form, start)
        except asyncio.CancelledError:
            if not patience.is_up():
                raise
            reason = placement.gone or f"{worker.name} did not answer within {patience.length_ms / 1000:.0f} s"
            raise (NotStarted(Why.OURS, reason) if handover.at_ms is None else Unanswered(reason)) from None
        finally:
            self._patience.leave(patience)
            self._workers.take_away(placement)
        if form is SourceForm.TO_KEEP:
            self._workers.source_arrived(worker.uuid, _content(run))
        return said

    def _begin_patience(self, patience: TimeLimit) -> None:
        self._patience.begin(patience, self._loop.time() + patience.length_ms / 1000)

    def _hurry(self, patience: TimeLimit) -> None:
        """Have it be over soon."""
        self._loop.call_later(LAST_WORD_SECONDS, patience.end)

    async def _ask(self, worker: Worker, run: Run, form: SourceForm, start: Start | None) -> Said:
        task = task_json(run, self._library_state(run.program.key.domain), form)
        if start is not None and len(task) > ROOM_BYTES:
            raise NotStarted(Why.OURS, "is not sent so much ahead")
        if start is None and not worker.takes_batches:
            return await self._client.run(worker, task, is_call=run.call is not None)
        return await self._batches.run(worker, task, is_call=run.call is not None, start=start)

    def _ending(self, outcome: Outcome, reason: str | None) -> Ending:
        return Ending(outcome=outcome, ended_ms=self._clock.now_ms(), reason=reason)

    def _no_worker(self, language: str, refusals: Refusals) -> str:
        if refusals:
            return "no worker took it: " + "; ".join(map(str, refusals.values()))
        closed = [
            f"{worker.name} is {WorkerState.DRAINED if worker.drained else WorkerState.UNREACHABLE}"
            for worker in self._workers.all()
            if language in worker.languages
        ]
        if closed:
            return f"no worker that runs {language} can be given it: {', '.join(closed)}"
        return f"no worker that runs {language} is subscribed"


def _content(run: Run) -> Content:
    return run.program.key.domain, run.program.digest


def _too_late(run: Run, now_ms: int) -> str:
    late_seconds = (now_ms - (run.due_ms or run.claimed_ms)) / 1000
    return f"too late to start: it waited for a free slot until {late_seconds:.1f} s after it was due"

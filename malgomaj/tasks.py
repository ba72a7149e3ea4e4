"""One task, from its acceptance to its answer: accepted → executor → modules → compiled → run → ended."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog

from malgomaj.errors import Busy, Draining, ExecutorGone, TaskFailed, WorkerError
from malgomaj.executor import Executor
from malgomaj.executors import Executors
from malgomaj.held import Held, Word
from malgomaj.meter import TaskMeter
from malgomaj.modules import Library, ModuleSet
from malgomaj.plate import Place, Plate
from malgomaj.programs import Source, program_key, source_key
from malgomaj.run_logs import RunLog, RunLogs
from malgomaj.turns import Turn, Turns
from malgomaj.webhook import request_parts
from shared.logging import bind_facts
from shared.wire import ErrorKind, LogLine, ModuleUse, Outcome, ProgramError, Task
from tengo_bridge.compiling import CompileOrder, Import
from tengo_bridge.frames import Frame, Kind

ANSWER_SLACK_SECONDS = 0.02
"""An executor ends a run at its deadline itself, and knows where the run was. Its word is awaited for so long."""

log = structlog.get_logger()


@dataclass(slots=True)
class Progress:
    """What a task has come to so far. However it ends, this much is known."""

    code: bytes
    """The source code that it runs, which may not have come with it."""
    log: RunLog = field(default_factory=RunLog)
    modules: list[ModuleUse] = field(default_factory=list)
    compiled: bool = False
    accepted_seconds: float = field(default_factory=time.perf_counter)
    """When it was accepted, by the performance counter."""
    waited_ms: float | None = None
    """From then until the program was started; None while it is not."""
    turn: Turn | None = None
    """Its turn, once that came."""
    attempts: int = 1

    def since_accepted_ms(self) -> float:
        return (time.perf_counter() - self.accepted_seconds) * 1000


class Ended(NamedTuple):
    """How a task ended. ``done`` is what the executor said of its run, where it came to one."""

    outcome: Outcome
    error: ProgramError | None
    duration_ms: float
    kept_seconds: float | None
    """How long the compiled program stays cached from now on; None where it never got compiled."""
    progress: Progress
    done: Frame | None


class Tasks:
    """Runs tasks."""

    def __init__(
        self,
        executors: Executors,
        library: Library,
        held: Held,
        plate: Plate,
        turns: Turns,
        logs: RunLogs,
        meter: TaskMeter,
        *,
        kept_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        """``clock`` is that of the loop."""
        self._executors = executors
        self._library = library
        self._held = held
        self._plate = plate
        self._turns = turns
        self._logs = logs
        self._meter = meter
        self._kept_seconds = kept_seconds
        self._clock = clock
        # Not the logger of the module, which looks for the true one again at every line, and here is one for each run.
        self._log = log.bind()

    async def run_at_word(self, task: Task, code: bytes, number: int, word: Word) -> Ended:
        """Like :meth:`run`, when the manager says its word of this task, which has that number among several."""
        if not await self._held.wait(task, number, word):
            bind_facts(_log_facts(task))
            progress = Progress(code)
            error = _cancelled_by_manager()
            duration_ms = self._note_end(progress, Outcome.CANCELLED, error)
            return Ended(Outcome.CANCELLED, error, duration_ms, None, progress, None)
        return await self.run(task, code, word.came)

    async def run(self, task: Task, code: bytes, accepted_seconds: float | None = None) -> Ended:
        """Run ``task``, which has this source code, to its end.

        Raises Busy or Draining if it cannot be accepted now, or does not get its turn.
        ``accepted_seconds``: since when it counts as accepted, by the performance counter, if not from now on.
        To be called in an asyncio task of its own, since it binds the task's logging context.
        """
        self._plate.check()
        self._executors.check(task.domain)
        bind_facts(_log_facts(task))
        progress = Progress(code)
        if accepted_seconds is not None:
            progress.accepted_seconds = accepted_seconds
        self._logs.begin(task.run_id, progress.log)
        try:
            done = await self._run_in_time(task, progress)
            outcome, error = _judged(done, task)
            if outcome is Outcome.SUCCEEDED:
                self._executors.note_success(task.domain)
        except TaskFailed as failure:
            done, outcome, error = None, failure.outcome, failure.error
        except asyncio.CancelledError:
            # Nobody is left to be told, but those who read the log and the figures.
            self._note_end(progress, Outcome.CANCELLED, _caller_gone())
            raise
        finally:
            self._logs.end(task.run_id, progress.log)
        duration_ms = self._note_end(progress, outcome, error)
        # Where the executor has not answered, it or its program may be gone.
        kept_seconds = self._kept_seconds if progress.compiled and done is not None else None
        return Ended(outcome, error, duration_ms, kept_seconds, progress, done)

    def end(self, run_id: str) -> bool:
        """Have a run ended whose result is not wanted any more; False if there is none of this id.

        It is answered as cancelled when its program has stopped.
        """
        return self._plate.end(run_id) or self._held.end(run_id)

    def _note_end(self, progress: Progress, outcome: Outcome, error: ProgramError | None) -> float:
        """Count and log a run that has ended; gives how long it took (ms)."""
        duration_ms = progress.since_accepted_ms()
        self._meter.note_ended(outcome, duration_ms)
        for line in progress.log.lines:
            self._log.debug("program_log", program_level=line.level, message=line.message, at_ms=line.at_ms)
        facts = {"error": str(error)} if error else {}
        self._log.info("run_ended", outcome=outcome, duration_ms=round(duration_ms, 3), **facts)
        return duration_ms

    async def _run_in_time(self, task: Task, progress: Progress) -> Frame:
        """The deadline counts from now on, whatever comes before the run itself."""
        deadline = self._clock() + task.effective_deadline_ms / 1000
        place = self._plate.add(task.effective_deadline_ms, deadline + ANSWER_SLACK_SECONDS, task.run_id)
        try:
            return await self._run_in_turn(task, deadline, progress)
        except asyncio.CancelledError:
            if not place.is_up():
                raise
            raise await self._out_of_time(task, place, progress) from None
        finally:
            self._plate.remove(place)

    async def _out_of_time(self, task: Task, place: Place, progress: Progress) -> WorkerError:
        if place.unwanted and (progress.turn is None or await _stopped_in_time(progress.turn, place)):
            return TaskFailed(Outcome.CANCELLED, _cancelled_by_manager())
        if progress.turn is None:
            # Nothing ran, so whoever asked may ask again, here or elsewhere.
            return self._without_turn(task)
        if self._plate.ended:
            return TaskFailed(Outcome.CANCELLED, _cancelled_by_stop())
        return TaskFailed(Outcome.TIMED_OUT, _deadline_exceeded(task))

    def _without_turn(self, task: Task) -> WorkerError:
        if self._plate.ended:
            return Draining("this worker stopped before it was the program's turn")
        return Busy(
            f"domain '{task.domain}' had {self._turns.max_running} runs under way all the time (limits.domain_runs), "
            f"so this one was not started within its deadline of {task.effective_deadline_ms} ms"
        )

    async def _run_in_turn(self, task: Task, deadline: float, progress: Progress) -> Frame:
        """Wait for one of the places that the domain has."""
        turn = progress.turn = await self._turns.take(task.domain)
        run = self._run_again_if_it_crashes if task.retry else self._run_in_executor
        try:
            return await run(task, deadline, progress, turn)
        finally:
            turn.drop()

    async def _run_again_if_it_crashes(self, task: Task, deadline: float, progress: Progress, turn: Turn) -> Frame:
        try:
            done = await self._run_in_executor(task, deadline, progress, turn)
            if not (_ended_for_memory_of_all(done) and self._time_is_left(deadline)):
                return done
            crash = TaskFailed(Outcome.FAILED, ProgramError.model_validate(done.meta["error"]))
        except TaskFailed as failure:
            if not (failure.outcome is Outcome.CRASHED and self._time_is_left(deadline)):
                raise
            crash = failure
        log.info("run_started_again", reason=str(crash))
        progress.log.add(_started_again(crash))
        progress.attempts += 1
        try:
            return await self._run_in_executor(task, deadline, progress, turn)
        except Busy as refusal:
            # The caller must hear that the program ran.
            raise crash from refusal

    def _time_is_left(self, deadline: float) -> bool:
        return self._clock() < deadline

    async def _run_in_executor(self, task: Task, deadline: float, progress: Progress, turn: Turn) -> Frame:
        while True:
            executor = await self._executors.enter(task.domain)
            try:
                source = source_of(task)
                key = source_key(source)
                if not self._is_compiled(executor, key):
                    key = await self._compiled(executor, task, source, progress)
                progress.compiled = True
                deadline_ms = max(1, math.ceil((deadline - self._clock()) * 1000))
                request, body = request_parts(task.http)
                if progress.waited_ms is None:
                    progress.waited_ms = progress.since_accepted_ms()
                done = await executor.run(key, deadline_ms, request, body, progress.log.add, turn.hold)
                # It may have been forgotten during a long run; otherwise it is kept from now on.
                progress.compiled = executor.note_used(key)
                return done
            except ExecutorGone:
                log.info("executor_gone", note="the task goes to a fresh one")
            finally:
                executor.leave()

    def _is_compiled(self, executor: Executor, source_name: str) -> bool:
        """Whether it holds a program that imports nothing."""
        if executor.programs.imports(source_name) or not executor.note_used(source_name):
            return False
        self._meter.cache_hits += 1
        return True

    async def _compiled(self, executor: Executor, task: Task, source: Source, progress: Progress) -> str:
        """The key under which the executor holds the program, with the modules as they are now, compiled."""
        source_name = source_key(source)
        imports = executor.programs.imports(source_name)
        modules = ModuleSet(self._library, task.domain, task.language, task.library)
        needed = await _still_there(imports, modules)
        key = program_key(source_name, modules.digests())
        if executor.programs.holds(key):
            self._meter.cache_hits += 1
        else:
            self._meter.cache_misses += 1
        while not executor.note_used(key):
            answer = await executor.compile(
                CompileOrder(key, source.language, source.file, progress.code, modules.sources())
            )
            needed = await _learn(answer, needed, modules)
            if answer.kind is Kind.COMPILED:
                executor.programs.remember_imports(source_name, needed)
            else:
                key = program_key(source_name, modules.digests())
        progress.modules = modules.uses(one.name for one in needed)
        return key


def source_of(task: Task) -> Source:
    """The program of a task that has its source code; a digest beside that is right."""
    file = task.program_name or task.program_uuid
    if task.source_digest is None:
        return Source.of(task.domain, task.language, file, task.source_code)
    return Source(task.domain, task.language, file, task.source_digest)


async def _stopped_in_time(turn: Turn, place: Place) -> bool:
    """Wait until a run that nobody wants any more has stopped; False if its time is up before."""
    try:
        await turn.over()
    except asyncio.CancelledError:
        if place.is_up():
            return False
        raise
    return True


async def _still_there(imports: tuple[Import, ...], modules: ModuleSet) -> tuple[Import, ...]:
    """Those of ``imports`` that can be had. Of the others the executor will say whether they are needed still."""
    if not imports:
        return imports
    try:
        await modules.add(imports)
    except TaskFailed:
        return tuple(one for one in imports if one.name in modules)
    return imports


async def _learn(answer: Frame, known: tuple[Import, ...], modules: ModuleSet) -> tuple[Import, ...]:
    """What the import graph needs, after the executor's answer to a compile. Raises TaskFailed if it was refused."""
    if answer.kind is Kind.REFUSED:
        raise TaskFailed(Outcome.FAILED, ProgramError.model_validate(answer.meta["error"]))
    if answer.kind is Kind.COMPILED:
        imported = set(answer.meta.get("modules", ()))
        return tuple(one for one in known if one.name in imported)
    missing = tuple(Import.of(one) for one in answer.meta["modules"])
    await modules.add(missing)
    return known + missing


def _log_facts(task: Task) -> dict[str, str]:
    facts = {"domain": task.domain, "program": task.program_name or task.program_uuid}
    if task.run_id:
        facts["run"] = task.run_id
    return facts


def _ended_for_memory_of_all(done: Frame) -> bool:
    """Whether the run was ended since the executor's runs needed too much memory together, perhaps not by its fault."""
    error = done.meta.get("error")
    return error is not None and error["kind"] == ErrorKind.MEMORY and "executors.memory_bytes" in error["message"]


def _judged(done: Frame, task: Task) -> tuple[Outcome, ProgramError | None]:
    if done.meta["outcome"] == Outcome.SUCCEEDED:
        return Outcome.SUCCEEDED, None
    outcome = Outcome(done.meta["outcome"])
    error = ProgramError.model_validate(done.meta["error"])
    if outcome is Outcome.TIMED_OUT:
        # The executor knows only what was left of the deadline when the run began.
        return outcome, _deadline_exceeded(task, error.stack)
    return outcome, error


def _deadline_exceeded(task: Task, stack: Sequence[str] = ()) -> ProgramError:
    message = f"deadline of {task.effective_deadline_ms} ms exceeded"
    return ProgramError(kind=ErrorKind.DEADLINE, message=message, stack=list(stack))


def _started_again(crash: TaskFailed) -> LogLine:
    message = f"the run crashed and is started again: {crash}"
    return LogLine(at_ms=time.time_ns() // 1_000_000, level="error", message=message)


def _caller_gone() -> ProgramError:
    return ProgramError(kind=ErrorKind.CANCELLED, message="whoever waited for the answer has gone")


def _cancelled_by_manager() -> ProgramError:
    return ProgramError(kind=ErrorKind.CANCELLED, message="the run was ended, as the manager asked")


def _cancelled_by_stop() -> ProgramError:
    return ProgramError(kind=ErrorKind.CANCELLED, message="the worker stopped before the program had ended")

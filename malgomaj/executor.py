"""One executor: a child process that compiles and runs the programs of one domain, and the frames spoken with it."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import structlog

from malgomaj.errors import ExecutorGone, TaskFailed, WorkerError
from malgomaj.meter import ExecutorEnd, ExecutorMeter
from malgomaj.programs import CompiledPrograms
from malgomaj.turns import Hold
from shared.wire import ErrorKind, LogLine, Outcome, ProgramError
from tengo_bridge.answers import check_answer, goroutines_of
from tengo_bridge.compiling import CompileOrder, too_large
from tengo_bridge.frames import Frame, FrameDecoder, FrameError, Kind, encode
from tengo_bridge.process import CRASH_SECONDS, spawn_process, wait_for_death

EXIT_TIMEOUT_SECONDS = 2.0
"""How long an executor may take to exit by itself once its socket is closed."""

MEMORY_RULE = "executors.memory_bytes allows"
"""Ends the sentence of an executor that needed more memory."""

FRAMES_AT_ONCE = 8
"""Those that gather are sent when they are so many: the executor begins with them while others are made."""

_MAX_ID = 2**32 - 1

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ExecutorOptions:
    memory_bytes: int
    grace_seconds: float
    start_timeout_seconds: float
    max_programs: int
    max_programs_bytes: int
    program_kept_seconds: float
    configuration: Mapping[str, Any]
    """The meta data of the CONFIGURE frame."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """All the environment variables of the process. The address of a proxy may hold a password."""

    @property
    def memory_limit(self) -> str:
        return f"{MEMORY_RULE} ({self.memory_bytes} bytes)"


def _drop(_line: LogLine) -> None:
    """A compile logs nothing."""


def _nothing_for(_reason: ProgramError) -> None:
    """Nobody wants to know why."""


@dataclass(slots=True)
class _Expected:
    """The answer to a frame that was sent: the executor's frame, or why it will never come."""

    answer: "asyncio.Future[Frame | TaskFailed]"
    compiles: CompileOrder | None = None
    began: float = 0.0
    """When a compile was ordered; the loop's clock would be too coarse."""
    on_line: Callable[[LogLine], None] = _drop
    held: Hold | None = None
    """Of a run that was cancelled."""

    def gone(self) -> None:
        """It takes no more of the time of an executor that counts."""
        if self.held is not None:
            self.held.drop()

    def ended(self) -> None:
        """It has stopped."""
        if self.held is not None:
            self.held.end()


class Executor(asyncio.Protocol):
    """The worker's end. ``enter`` and ``leave`` go around every use, so that it is known whether it is in use.

    Its life: started, ready, perhaps retired (it takes nothing new, and ends when its last user leaves), dead.
    Each user leaves by the deadline of its task, so that a retired one ends soon after the last of these.

    ``on_crash`` is told once if the programs inside cost the process: it crashed, or must end as one does not stop.
    """

    def __init__(
        self,
        domain: str,
        process: asyncio.subprocess.Process,
        options: ExecutorOptions,
        on_crash: Callable[[ProgramError], None],
        meter: ExecutorMeter,
    ) -> None:
        self.domain = domain
        self.end: ExecutorEnd | None = None
        """Why it has ended or is about to."""
        self.programs = CompiledPrograms(options.max_programs, options.max_programs_bytes, options.program_kept_seconds)
        self.languages: tuple[str, ...] = ()
        self.users = 0
        self.used_at = 0.0
        self.goroutines = 0
        """As many as it said that it has, when it was last asked."""
        self._process = process
        self._options = options
        self._on_crash: Callable[[ProgramError], None] | None = on_crash
        self._meter = meter
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._decoder = FrameDecoder()
        self._transport: asyncio.WriteTransport | None = None
        self._expected: dict[int, _Expected] = {}
        self._compiling: dict[str, int] = {}
        self._last_id = 0
        self._outgoing: list[bytes] = []
        self._retired = False
        self._ending = False
        self._dead = False
        self._given_up: ProgramError | None = None

    @property
    def usable(self) -> bool:
        """Whether it takes new runs."""
        return not self._retired and not self._dead

    @property
    def ending(self) -> bool:
        """Whether its process will be gone in a moment."""
        return self._ending or (self._transport is not None and self._transport.is_closing())

    @property
    def runs(self) -> int:
        """Runs and compiles under way, overdue ones included."""
        return len(self._expected)

    @property
    def pid(self) -> int:
        return self._process.pid

    def enter(self) -> None:
        self.users += 1

    def leave(self) -> None:
        self.users -= 1
        self.used_at = self._loop.time()
        if self._retired and not self.users:
            self._end()

    async def ready(self) -> None:
        """Wait until it has said that it is there. Raises WorkerError if it does not in time."""
        try:
            async with asyncio.timeout(self._options.start_timeout_seconds):
                await asyncio.shield(self._ready)
        except TimeoutError:
            self.kill(ExecutorEnd.FAULTY)
            seconds = self._options.start_timeout_seconds
            raise WorkerError(f"an executor did not get ready within {seconds:g} s") from None

    async def compile(self, order: CompileOrder) -> Frame:
        """COMPILED, NEEDS or REFUSED; one compile for all who ask for the same key.

        Raises TaskFailed if the executor dies, ExecutorGone if it was dead before.
        Whoever is cancelled while waiting leaves the compile alone, unless it is overdue then.
        """
        number = self._compiling.get(order.key) or self._start_compile(order)
        answer = self._expected[number].answer
        try:
            return _checked(await asyncio.shield(answer))
        except asyncio.CancelledError:
            self._expect_end_soon(number)
            raise

    async def run(
        self,
        key: str,
        deadline_ms: int,
        request: Mapping[str, Any] | None,
        body: bytes,
        on_line: Callable[[LogLine], None],
        hold: Callable[[], Hold | None] = lambda: None,
    ) -> Frame:
        """The DONE frame of a run of the compiled program ``key``. Its log lines go to ``on_line`` as they come.

        Raises TaskFailed if the executor dies, ExecutorGone if it was dead before. Cancelling this cancels the run;
        should that not end the run within the grace period, the executor retires. ``hold`` is called if this is
        cancelled, and what it gives is dropped when the executor has retired, and ended when the run has.
        """
        meta: dict[str, Any] = {"key": key, "deadline_ms": deadline_ms}
        if request is not None:
            meta["request"] = request
        frame = Frame(Kind.RUN, self._next_id(), meta, body)
        number = self._expect(frame, _Expected(self._loop.create_future(), on_line=on_line))
        try:
            return _checked(await self._expected[number].answer)
        except asyncio.CancelledError:
            self._cancel(number, hold)
            raise

    def note_used(self, key: str) -> bool:
        """Whether the program is compiled here; if so it is kept for longer."""
        return self.programs.use(key, self._loop.time())

    def ask(self) -> None:
        """Have it say how many goroutines it has: what programs leave behind in it shows there."""
        self._send(Frame(Kind.PING))

    def forget_expired(self) -> None:
        self._forget(self.programs.expire(self._loop.time()))

    def retire(self, end: ExecutorEnd) -> None:
        """Take nothing new, and end when the last user has left. ``end``: why."""
        if not self.usable:
            return
        self._retired = True
        self._note_end(end)
        log.info("executor_retired", executor=self.pid, domain=self.domain, reason=end.value, users=self.users)
        if not self.users:
            self._end()

    def give_up(self, reason: str) -> None:
        """End the process at once, and tell those who are inside why."""
        log.info("executor_given_up", executor=self.pid, domain=self.domain, reason=reason, runs=self.runs)
        self._given_up = ProgramError(kind=ErrorKind.CRASH, message=f"the executor was ended: {reason}")
        self.kill(ExecutorEnd.SURPLUS)

    def kill(self, end: ExecutorEnd = ExecutorEnd.STOPPED) -> None:
        """End the process at once. What is inside is lost. ``end``: why, unless that is known already."""
        self._note_end(end)
        self._retired = True
        self._ending = True
        self._kill_process()

    def _note_end(self, end: ExecutorEnd) -> None:
        self.end = self.end or end

    def _kill_process(self) -> None:
        if self._process.returncode is None:
            self._process.kill()

    async def watch(self) -> None:
        """Wait for the end of the process, then tell everybody who waits for an answer."""
        status, reason = await wait_for_death(self._process, self._options.memory_limit)
        self._died(self._given_up or reason, status)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        # What is sent leaves at once, and not with the end of the loop's turn: so both have something to do.
        self._transport.set_write_buffer_limits(0)
        self._send(Frame(Kind.CONFIGURE, 0, self._options.configuration))

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._decoder.feed(data):
                self._take(frame)
        except (FrameError, ValueError) as error:
            log.error("executor_unintelligible", executor=self.pid, domain=self.domain, reason=str(error))
            self.kill(ExecutorEnd.FAULTY)

    def connection_lost(self, exc: Exception | None) -> None:
        self._retired = True
        if self._expected:
            # Nobody will ever be answered; a process that crashes is about to say why.
            self._loop.call_later(CRASH_SECONDS, self._kill_process)
        else:
            self._loop.call_later(EXIT_TIMEOUT_SECONDS, self.kill)

    def _take(self, frame: Frame) -> None:
        if frame.kind is Kind.LOG:
            self._take_log_line(frame)
        elif frame.kind is Kind.READY:
            self.languages = tuple(frame.meta.get("languages", ()))
            if not self._ready.done():
                self._ready.set_result(None)
        elif frame.kind is Kind.PONG:
            self.goroutines = goroutines_of(frame)
        elif expected := self._expected.get(frame.id):
            check_answer(frame, to_compile=expected.compiles is not None)
            del self._expected[frame.id]
            self._take_answer(expected, frame)

    def _take_answer(self, expected: _Expected, frame: Frame) -> None:
        expected.ended()
        if expected.compiles is not None:
            self._meter.compile_seconds.add(time.perf_counter() - expected.began)
            del self._compiling[expected.compiles.key]
            if frame.kind is Kind.COMPILED:
                self._keep(expected.compiles, frame)
        if not expected.answer.done():
            expected.answer.set_result(frame)

    def _keep(self, order: CompileOrder, compiled: Frame) -> None:
        size_bytes = compiled.meta.get("bytes") or order.likely_bytes
        log.debug("program_compiled", executor=self.pid, domain=self.domain, file=order.file, bytes=size_bytes)
        self._forget(self.programs.add(order.key, size_bytes, self._loop.time()))

    def _take_log_line(self, frame: Frame) -> None:
        if expected := self._expected.get(frame.id):
            expected.on_line(LogLine.model_validate(frame.meta))

    def _start_compile(self, order: CompileOrder) -> int:
        expected = _Expected(self._loop.create_future(), compiles=order, began=time.perf_counter())
        number = self._expect(order.frame(self._next_id()), expected)
        self._compiling[order.key] = number
        return number

    def _expect(self, frame: Frame, expected: _Expected) -> int:
        if self._dead:
            raise ExecutorGone("the executor ended before it was given the program")
        try:
            self._send(frame)
        except FrameError as error:
            raise _too_large(frame.kind, error) from error
        self._expected[frame.id] = expected
        return frame.id

    def _next_id(self) -> int:
        self._last_id = self._last_id % _MAX_ID + 1
        return self._last_id

    def _send(self, frame: Frame) -> None:
        data = encode(frame)
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(data)
        if len(self._outgoing) == FRAMES_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        """Write what has gathered in this turn of the loop; a system call for each frame would cost more than a run."""
        if not self._outgoing:
            return
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _forget(self, keys: list[str]) -> None:
        for key in keys:
            self._send(Frame(Kind.FORGET, 0, {"key": key}))

    def _cancel(self, number: int, hold: Callable[[], Hold | None]) -> None:
        if number in self._expected:
            self._expected[number].held = hold()
            self._send(Frame(Kind.CANCEL, number))
            self._expect_end_soon(number)

    def _expect_end_soon(self, number: int) -> None:
        self._loop.call_later(self._options.grace_seconds, self._retire_if_overdue, number)

    def _retire_if_overdue(self, number: int) -> None:
        if number not in self._expected:
            return
        self._tell_crash(ProgramError(kind=ErrorKind.DEADLINE, message="a program did not stop at its deadline"))
        self._expected[number].gone()
        self.retire(ExecutorEnd.NOT_STOPPING)

    def _tell_crash(self, reason: ProgramError) -> None:
        if self._on_crash is not None:
            on_crash, self._on_crash = self._on_crash, None
            on_crash(reason)

    def _end(self) -> None:
        """Nobody uses it any more: let it exit, or end it if something inside does not stop."""
        self._ending = True
        if self._expected:
            self.kill()
        elif self._transport is not None:
            self._flush()
            self._transport.close()
            self._loop.call_later(EXIT_TIMEOUT_SECONDS, self.kill)

    def _died(self, reason: ProgramError, status: int) -> None:
        self._dead = True
        facts = {"executor": self.pid, "domain": self.domain, "exit_status": status}
        if self._ending:
            log.info("executor_ended", **facts)
        else:
            self.end = ExecutorEnd.CRASHED
            log.warning("executor_crashed", **facts, reason=reason.message, runs=self.runs)
            if self._ready.done():
                self._tell_crash(reason)
        outcome = TaskFailed(Outcome.CRASHED, reason)
        for expected in self._expected.values():
            expected.ended()
            if not expected.answer.done():
                expected.answer.set_result(outcome)
        self._expected.clear()
        self._compiling.clear()
        if not self._ready.done():
            self._ready.set_exception(WorkerError(f"no executor can be started: {reason.message}"))
            self._ready.exception()  # whoever waited for it may have gone
        if self._transport is not None:
            self._transport.close()


async def spawn(
    domain: str,
    options: ExecutorOptions,
    on_crash: Callable[[ProgramError], None] = _nothing_for,
    meter: ExecutorMeter | None = None,
) -> Executor:
    """A new executor process, not ready yet. Its ``watch`` must run, and ``ready`` be awaited before it is used.

    Raises WorkerError if there can be no process.
    """
    try:
        process, ours = await spawn_process(options.memory_bytes, options.environment)
    except OSError as error:
        raise WorkerError(f"no executor can be started: {error.strerror}") from error
    executor = Executor(domain, process, options, on_crash, meter or ExecutorMeter())
    try:
        await asyncio.get_running_loop().create_unix_connection(lambda: executor, sock=ours)
    except BaseException:
        ours.close()
        raise
    return executor


def _checked(answer: Frame | TaskFailed) -> Frame:
    if isinstance(answer, TaskFailed):
        # Each who waits gets an error of its own: a traceback belongs to one task.
        raise TaskFailed(answer.outcome, answer.error)
    return answer


def _too_large(kind: Kind, error: FrameError) -> TaskFailed:
    if kind is Kind.COMPILE:
        return TaskFailed(Outcome.FAILED, too_large(error))
    message = f"the call is too large for an executor: {error}"
    return TaskFailed(Outcome.FAILED, ProgramError(kind=ErrorKind.RUNTIME, message=message))

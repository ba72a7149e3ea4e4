"""The worker's executors: one per domain, started when first needed, ended when idle, replaced when retired."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import Context

import structlog

from malgomaj.backoff import BackoffRules, CrashHistory
from malgomaj.errors import Busy, TaskFailed, WorkerError
from malgomaj.executor import Executor, ExecutorOptions, spawn
from malgomaj.meter import ExecutorEnd, ExecutorMeter
from malgomaj.single_flight import SingleFlight
from shared.daemon import supervise
from shared.wire import ErrorKind, Outcome, ProgramError

HOUSEKEEPING_SECONDS = 1.0
MAX_RETIRED = 2
"""Executors of one domain that may still be at work for old runs beside the one that takes new ones."""

OptionsFor = Callable[[str], ExecutorOptions]
"""What the executors of a domain are made with."""

log = structlog.get_logger()


class Executors:
    """The executors of this worker, by domain.

    There are never more processes than there may be, retired and ending ones included. Where one more is needed, the
    idle one that was used least lately goes; if none is idle, the domain is refused.
    """

    def __init__(self, options: OptionsFor, *, max_executors: int, idle_seconds: float, backoff: BackoffRules) -> None:
        self.meter = ExecutorMeter()
        self._options = options
        self._max_executors = max_executors
        self._backoff = backoff
        self._idle_seconds = idle_seconds
        self._by_domain: dict[str, Executor] = {}
        self._alive: dict[Executor, asyncio.Task[None]] = {}
        self._starts: SingleFlight[str, Executor] = SingleFlight()
        self._places = asyncio.Semaphore(max_executors)
        self._seeking = 0
        """Starts that wait for a process to be gone."""
        self._awaited: Counter[str] = Counter()
        """Those who wait for the executor of a domain to start."""
        self._crashes: dict[str, CrashHistory] = {}

    def __len__(self) -> int:
        """Processes alive, retired ones included."""
        return len(self._alive)

    @property
    def runs(self) -> int:
        return sum(executor.runs for executor in self._alive)

    @property
    def programs(self) -> int:
        """Programs held compiled."""
        return sum(len(executor.programs) for executor in self._by_domain.values())

    @property
    def programs_bytes(self) -> int:
        """About how much memory these take."""
        return sum(executor.programs.bytes for executor in self._by_domain.values())

    @property
    def pids(self) -> list[int]:
        """Of the processes alive."""
        return [executor.pid for executor in self._alive]

    @property
    def goroutines(self) -> int:
        """Of all of them, as each said within the last seconds."""
        return sum(executor.goroutines for executor in self._alive)

    def backing_off(self) -> dict[str, int]:
        """The domains that are refused for now, and how often their executors crashed in the last minute."""
        now = asyncio.get_running_loop().time()
        paused = ((domain, history) for domain, history in self._crashes.items() if history.seconds_left(now))
        return {domain: history.crashes(now) for domain, history in paused}

    def check(self, domain: str) -> None:
        """Raises Busy while the domain is slowed down because its programs crash executors."""
        if (history := self._crashes.get(domain)) is not None:
            history.check(domain, asyncio.get_running_loop().time())

    def note_success(self, domain: str) -> None:
        """A run of the domain ended well."""
        if (history := self._crashes.get(domain)) is not None:
            history.succeeded(asyncio.get_running_loop().time())

    async def enter(self, domain: str) -> Executor:
        """The domain's executor, which the caller must ``leave``.

        Raises Busy if there may be no more executors or the domain is slowed down, TaskFailed if none can be started.
        """
        self.check(domain)
        while (executor := self._running(domain)) is None:
            await self._started(domain)
        executor.enter()
        return executor

    async def languages(self) -> tuple[str, ...]:
        """The languages that executors of this installation run; found by starting one. Raises WorkerError."""
        await self._take_place()
        executor = await self._spawn("")
        executor.retire(ExecutorEnd.LANGUAGES_TOLD)
        return executor.languages

    async def keep_house(self) -> None:
        """Drop what was not used for long, for ever."""
        while True:
            await asyncio.sleep(HOUSEKEEPING_SECONDS)
            self._retire_idle(asyncio.get_running_loop().time())
            for executor in self._by_domain.values():
                executor.forget_expired()
            for executor in self._alive:
                executor.ask()
            self._forget_crashes(asyncio.get_running_loop().time())

    async def stop(self) -> None:
        """End every executor at once and wait for it. What is inside is lost."""
        await self._starts.close()
        watches = list(self._alive.values())
        for executor in self._alive:
            executor.kill()
        if watches:
            await asyncio.wait(watches)

    def _running(self, domain: str) -> Executor | None:
        executor = self._by_domain.get(domain)
        return executor if executor is not None and executor.usable else None

    async def _started(self, domain: str) -> None:
        """Wait until the domain's executor has started; somebody else's need does not end it before it is entered."""
        self._awaited[domain] += 1
        try:
            await asyncio.shield(self._starts.start(domain, lambda: self._start(domain)))
        finally:
            self._awaited[domain] -= 1
            if not self._awaited[domain]:
                del self._awaited[domain]

    async def _start(self, domain: str) -> Executor:
        self._end_surplus(domain)
        await self._take_place()
        try:
            executor = await self._spawn(domain)
        except WorkerError as error:
            raise TaskFailed(Outcome.CRASHED, ProgramError(kind=ErrorKind.CRASH, message=str(error))) from error
        self._by_domain[domain] = executor
        return executor

    def _end_surplus(self, domain: str) -> None:
        """A domain whose programs do not stop must not take the places of others: its oldest executor goes."""
        retired = [each for each in self._alive if each.domain == domain and not each.usable and not each.ending]
        for executor in retired[: len(retired) - MAX_RETIRED + 1]:
            executor.give_up("its domain started another executor, and has no more places for those that do not stop")

    async def _spawn(self, domain: str) -> Executor:
        """In the place that was taken for it."""
        loop = asyncio.get_running_loop()
        began = time.perf_counter()
        try:
            executor = await spawn(
                domain, self._options(domain), lambda reason: self._note_crash(domain, reason), self.meter
            )
        except BaseException:
            self._places.release()
            raise
        # The watch outlives the task that this start was for, so it takes nothing of its logging context.
        watch = loop.create_task(executor.watch(), context=Context())
        self._alive[executor] = watch
        watch.add_done_callback(lambda done: self._ended(executor, done))
        await executor.ready()
        self.meter.started += 1
        executor.used_at = loop.time()
        duration_ms = round((time.perf_counter() - began) * 1000, 1)
        log.info("executor_started", executor=executor.pid, domain=domain, duration_ms=duration_ms)
        return executor

    def _ended(self, executor: Executor, watch: "asyncio.Task[None]") -> None:
        del self._alive[executor]
        self.meter.ended[executor.end or ExecutorEnd.STOPPED] += 1
        self._places.release()
        if self._by_domain.get(executor.domain) is executor:
            del self._by_domain[executor.domain]
        if (error := watch.exception()) is not None:
            log.error("executor_watch_failed", executor=executor.pid, exc_info=error)

    async def _take_place(self) -> None:
        """Take a place among the processes, if need be that of one which ends now. Raises Busy if none does."""
        if self._places.locked() and not self._one_ends():
            raise Busy(f"all executors that there may be (executors.max: {self._max_executors}) are in use")
        self._seeking += 1
        try:
            await self._places.acquire()
        finally:
            self._seeking -= 1

    def _one_ends(self) -> bool:
        """Whether a process will be gone in a moment that nobody has an eye on yet; an idle one is ended for it."""
        if sum(executor.ending for executor in self._alive) > self._seeking:
            return True
        idle = [executor for executor in self._by_domain.values() if self._is_idle(executor)]
        if not idle:
            return False
        min(idle, key=lambda executor: executor.used_at).retire(ExecutorEnd.PLACE_NEEDED)
        return True

    def _is_idle(self, executor: Executor) -> bool:
        return executor.usable and not executor.users and executor.domain not in self._awaited

    def _note_crash(self, domain: str, reason: ProgramError) -> None:
        history = self._crashes.setdefault(domain, CrashHistory(self._backoff))
        now = asyncio.get_running_loop().time()
        history.crashed(now, reason.message)
        if seconds := history.seconds_left(now):
            log.warning("domain_slowed_down", domain=domain, crashes=history.crashes(now), seconds=seconds)

    def _forget_crashes(self, now: float) -> None:
        for domain in [domain for domain, history in self._crashes.items() if history.forgotten(now)]:
            del self._crashes[domain]

    def _retire_idle(self, now: float) -> None:
        for executor in list(self._by_domain.values()):
            if not executor.users and executor.used_at + self._idle_seconds <= now:
                executor.retire(ExecutorEnd.IDLE)


@asynccontextmanager
async def open_executors(
    options: OptionsFor, *, max_executors: int, idle_seconds: float, backoff: BackoffRules
) -> AsyncIterator[Executors]:
    """Executors whose processes are all gone at the end."""
    executors = Executors(options, max_executors=max_executors, idle_seconds=idle_seconds, backoff=backoff)
    housekeeping = asyncio.create_task(supervise("executors", executors.keep_house))
    try:
        yield executors
    finally:
        housekeeping.cancel()
        await executors.stop()

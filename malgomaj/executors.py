"""The worker's executors: one per domain, started when first needed, ended when idle, replaced when retired."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import Context

import structlog

from malgomaj.errors import Busy, TaskFailed, WorkerError
from malgomaj.executor import Executor, ExecutorOptions, spawn
from malgomaj.single_flight import SingleFlight
from shared.daemon import supervise
from shared.wire import ErrorKind, Outcome, ProgramError

HOUSEKEEPING_SECONDS = 1.0

OptionsFor = Callable[[str], ExecutorOptions]
"""What the executors of a domain are made with."""

log = structlog.get_logger()


class Executors:
    """The executors of this worker, by domain."""

    def __init__(self, options: OptionsFor, *, max_executors: int, idle_seconds: float) -> None:
        self._options = options
        self._max_executors = max_executors
        self._idle_seconds = idle_seconds
        self._by_domain: dict[str, Executor] = {}
        self._alive: dict[Executor, asyncio.Task[None]] = {}
        self._starts: SingleFlight[str, Executor] = SingleFlight()

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

    async def enter(self, domain: str) -> Executor:
        """The domain's executor, which the caller must ``leave``.

        Raises Busy if there may be no more executors, TaskFailed if none can be started.
        """
        while (executor := self._running(domain)) is None:
            await asyncio.shield(self._starts.start(domain, lambda: self._start(domain)))
        executor.enter()
        return executor

    async def languages(self) -> tuple[str, ...]:
        """The languages that executors of this installation run; found by starting one. Raises WorkerError."""
        executor = await self._spawn("")
        executor.retire("it was asked for its languages")
        return executor.languages

    async def keep_house(self) -> None:
        """Drop what was not used for long, for ever."""
        while True:
            await asyncio.sleep(HOUSEKEEPING_SECONDS)
            self._retire_idle(asyncio.get_running_loop().time())
            for executor in self._by_domain.values():
                executor.forget_expired()

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

    async def _start(self, domain: str) -> Executor:
        self._make_room()
        try:
            executor = await self._spawn(domain)
        except WorkerError as error:
            raise TaskFailed(Outcome.CRASHED, ProgramError(kind=ErrorKind.CRASH, message=str(error))) from error
        self._by_domain[domain] = executor
        return executor

    async def _spawn(self, domain: str) -> Executor:
        loop = asyncio.get_running_loop()
        began = time.perf_counter()
        executor = await spawn(domain, self._options(domain))
        # The watch outlives the task that this start was for, so it takes nothing of its logging context.
        watch = loop.create_task(executor.watch(), context=Context())
        self._alive[executor] = watch
        watch.add_done_callback(lambda done: self._ended(executor, done))
        await executor.ready()
        executor.used_at = loop.time()
        duration_ms = round((time.perf_counter() - began) * 1000, 1)
        log.info("executor_started", executor=executor.pid, domain=domain, duration_ms=duration_ms)
        return executor

    def _ended(self, executor: Executor, watch: "asyncio.Task[None]") -> None:
        del self._alive[executor]
        if self._by_domain.get(executor.domain) is executor:
            del self._by_domain[executor.domain]
        if (error := watch.exception()) is not None:
            log.error("executor_watch_failed", executor=executor.pid, exc_info=error)

    def _make_room(self) -> None:
        """Retire the idle executor that was used least lately, if there are as many as there may be."""
        running = [executor for executor in self._by_domain.values() if executor.usable]
        retired = sum(1 for executor in self._alive if not executor.usable and executor.users)
        # The start that asks for room is among those under way.
        if len(running) + retired + len(self._starts) <= self._max_executors:
            return
        idle = [executor for executor in running if not executor.users]
        if not idle:
            raise Busy(f"all executors that there may be (executors.max: {self._max_executors}) are in use")
        min(idle, key=lambda executor: executor.used_at).retire("another domain needs its place")

    def _retire_idle(self, now: float) -> None:
        for executor in list(self._by_domain.values()):
            if not executor.users and executor.used_at + self._idle_seconds <= now:
                executor.retire("idle")


@asynccontextmanager
async def open_executors(options: OptionsFor, *, max_executors: int, idle_seconds: float) -> AsyncIterator[Executors]:
    """Executors whose processes are all gone at the end."""
    executors = Executors(options, max_executors=max_executors, idle_seconds=idle_seconds)
    housekeeping = asyncio.create_task(supervise("executors", executors.keep_house))
    try:
        yield executors
    finally:
        housekeeping.cancel()
        await executors.stop()

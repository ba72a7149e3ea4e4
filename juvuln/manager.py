"""The manager as a whole: what it consists of, the order in which that comes up, and goes down again."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import structlog

from juvuln.api.code import CodeApi
from juvuln.api.errors import refusal_of
from juvuln.api.library import LibraryApi
from juvuln.api.overview import OverviewApi
from juvuln.api.programs import ProgramApi
from juvuln.api.rates import Rates
from juvuln.api.run_logs import RunLogApi
from juvuln.api.run_now import RunNowApi
from juvuln.api.runs import RunApi
from juvuln.api.schedules import ScheduleApi
from juvuln.api.services import Services
from juvuln.api.signing import SigningApi
from juvuln.api.subscribers import SubscriberApi
from juvuln.api.traffic import Traffic
from juvuln.api.webhooks import WebhookApi
from juvuln.calls import Calls
from juvuln.clock import Clock
from juvuln.config import JuvulnSettings, check_exposure, domain_file_path
from juvuln.database import DatabaseError, check_database_url
from juvuln.dispatch import Dispatcher
from juvuln.domains.domain import DomainChanges, Follow, Refreshing
from juvuln.domains.domains import Domains
from juvuln.domains.file import read_domain_file
from juvuln.failures import Failures
from juvuln.live import LiveRuns
from juvuln.pauses import Pauses
from juvuln.programs import Changes, Program
from juvuln.routine_runs import RoutineRuns
from juvuln.run_logs import RunLogs
from juvuln.runner import Runner
from juvuln.runs.record import RunRecord, open_record
from juvuln.runs.tables import WHAT
from juvuln.runs.writer import PATIENCE_SECONDS
from juvuln.scheduler import Scheduler
from juvuln.signing import CompileCheck
from juvuln.tokens import Tokens
from juvuln.worker_client import open_worker_client
from juvuln.workers import Sweep, WorkerRegistry
from shared.config import make_state_dir, shared_secret
from shared.daemon import supervise
from shared.errors import ConfigurationError
from shared.health import Readiness
from shared.http import Route, make_app, reserve_address, serving
from shared.metrics_api import MetricsApi
from shared.status_api import StatusApi
from shared.streams import Streams
from shared.tls import system_roots
from shared.wire import ProgramState

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

PRUNE_INTERVAL_SECONDS = 3600.0
LAST_ANSWERS_SECONDS = 1.0
MAX_FOLLOWERS = 100
"""Logs of runs that are followed at once."""
DESCRIPTION = "Runs the programs of Self-host domains: routines on their schedule, webhooks when called."

log = structlog.get_logger()


def check_configuration(settings: JuvulnSettings, config_file: Path | None) -> int:
    """Everything that can be said of it without starting; gives the number of domains. Raises ConfigurationError."""
    check_exposure(settings)
    try:
        check_database_url(settings.effective_database)
    except ConfigurationError as error:
        raise ConfigurationError(f"database (JUVULN_DATABASE): {error}") from None
    return len(read_domain_file(domain_file_path(settings, config_file)))


class Manager:
    """Open it with :func:`open_manager`."""

    def __init__(self, services: Services, scheduler: Scheduler) -> None:
        self._settings = services.settings
        self._services = services
        self._scheduler = scheduler

    async def reload(self) -> None:
        """Read the domain file and all domains again. Raises ConfigurationError."""
        await self._services.domains.reload()

    async def drain(self) -> None:
        """Start nothing new, and wait for what is under way as long as is configured."""
        self._services.readiness.set("shutdown", "about to end")
        self._services.calls.stop()
        self._scheduler.stop()
        try:
            async with asyncio.timeout(self._settings.shutdown_timeout_seconds):
                await self._scheduler.finished()
                await self._services.calls.finished()
        except TimeoutError:
            log.warning("runs_given_up", timeout_seconds=self._settings.shutdown_timeout_seconds)
        self._services.streams.stop()


@asynccontextmanager
async def open_manager(settings: JuvulnSettings, config_file: Path | None) -> AsyncIterator[Manager]:
    """Bring the manager up; take it down at the end, in the opposite order, whatever had come up.

    Raises ConfigurationError, StartError, DatabaseError.
    """
    check_configuration(settings, config_file)
    secret = _secret(settings)
    clock, readiness, workers = Clock(), Readiness(), WorkerRegistry()
    async with AsyncExitStack() as stack:
        # The address comes first: a second manager must not get as far as closing the runs of the first.
        sockets = _listening_sockets(settings, stack)
        record = await stack.enter_async_context(_writing_record(settings, clock, readiness))
        session = await stack.enter_async_context(_worker_session())
        domains = _domains(settings, config_file, readiness, clock)
        stack.push_async_callback(domains.close)
        live = LiveRuns()
        dispatcher = Dispatcher(
            workers,
            stack.enter_context(open_worker_client(session)),
            clock,
            domains.fingerprint,
            live,
            parallel=settings.dispatch.parallel,
            wait_for_worker_seconds=settings.dispatch.wait_for_worker_seconds,
        )
        planning = settings.schedule.planning()
        pauses = Pauses(settings.schedule.paused_domains, record.paused_domains)
        await pauses.read()
        runner = Runner(
            dispatcher,
            record,
            clock,
            live,
            Failures(record.past, _set_failed(domains)),
            random.random,
            lambda program: scheduler.why_not_again(program),  # which comes next: each knows the other
        )
        scheduler = Scheduler(
            record,
            RoutineRuns(runner, clock),
            domains.hindrance,
            pauses.of_routine,
            clock,
            planning,
        )
        await domains.start(_follower(record, scheduler, clock))
        traffic = Traffic()
        services = Services(
            settings=settings,
            secret=secret,
            clock=clock,
            planning=planning,
            pauses=pauses,
            readiness=readiness,
            traffic=traffic,
            since_ms=clock.now_ms(),
            workers=workers,
            domains=domains,
            tokens=Tokens(domains, clock, settings.access.cache_seconds),
            record=record,
            calls=Calls(domains, record, pauses.of_domain, runner.execute, clock, parallel=settings.limits.calls),
            compile_check=CompileCheck(),
            rates=Rates(settings, clock),
            scheduler=scheduler,
            live=live,
            run_logs=RunLogs(record, live, session),
            streams=Streams(MAX_FOLLOWERS),
        )
        readiness.watch("workers", lambda: None if workers.all() else "no worker is subscribed")
        await stack.enter_async_context(_background(services, scheduler))
        port = await stack.enter_async_context(_serving(services, sockets))
        log.info("listening", host=settings.listen.host, port=port, domains=len(domains.names()))
        yield Manager(services, scheduler)


def _secret(settings: JuvulnSettings) -> str | None:
    if settings.auth == "open":
        log.warning("auth_open", note="whoever reaches the port can subscribe as a worker and read all programs")
        return None
    return shared_secret(settings)


def _listening_sockets(settings: JuvulnSettings, stack: AsyncExitStack) -> list[socket.socket]:
    sockets = reserve_address(settings.listen.host, settings.listen.port, port_setting=settings.port_setting)
    for each in sockets:
        stack.callback(each.close)
    return sockets


def _worker_session() -> aiohttp.ClientSession:
    """The client of the workers. What a program answers is passed on as it is: no cookie is kept, nothing unpacked."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=system_roots()),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )


@asynccontextmanager
async def _writing_record(settings: JuvulnSettings, clock: Clock, readiness: Readiness) -> AsyncIterator[RunRecord]:
    """The record with its writer, which outlives everything that has something to write."""
    if settings.database is None:
        make_state_dir(settings.state_dir)

    def report(problem: str | None) -> None:
        readiness.set("record of runs", problem)

    async with open_record(settings.effective_database, settings.effective_name, report) as record:
        writer = asyncio.create_task(supervise("record", record.write))
        try:
            now_ms = clock.now_ms()
            left_open = await record.take_pending(now_ms, patience_seconds=PATIENCE_SECONDS)
            if record.failing:
                raise DatabaseError(WHAT, "what an earlier life left pending cannot be written")
            left_open += await record.managers.begin(now_ms)
            if left_open:
                log.warning("runs_lost_in_an_earlier_life", count=left_open)
            try:
                yield record
            finally:
                await _leave(record, settings.shutdown_timeout_seconds)
        finally:
            writer.cancel()
            await asyncio.wait({writer})


async def _leave(record: RunRecord, timeout_seconds: float) -> None:
    """Have everything written, and be gone for the other managers."""
    try:
        async with asyncio.timeout(timeout_seconds):
            await record.flush()
            await record.managers.leave()
    except (TimeoutError, DatabaseError):
        reason = "cannot be written; what is not on record at the next start either is lost then"
        log.error("record_not_complete", reason=reason)


def _domains(settings: JuvulnSettings, config_file: Path | None, readiness: Readiness, clock: Clock) -> Domains:
    refresh = settings.refresh
    refreshing = Refreshing(
        interval_seconds=refresh.interval_seconds,
        timeout_seconds=refresh.timeout_seconds,
        max_age_seconds=refresh.max_age_seconds,
        lane=asyncio.Semaphore(refresh.parallel),
        lane_away=asyncio.Semaphore(max(1, refresh.parallel // 2)),
        clock=clock,
        spread=random.random,
    )
    return Domains(domain_file_path(settings, config_file), readiness, refreshing)


def _follower(record: RunRecord, scheduler: Scheduler, clock: Clock) -> Follow:
    async def follow(change: DomainChanges) -> None:
        now_ms = clock.now_ms()
        if change.first:
            # The record tells where each routine stood when the manager was last there.
            scheduler.update(change.changes, await record.follow_all(change.domain, change.changes.added, now_ms))
            return
        # What is gone is started no more, whether that can be put on record or not.
        scheduler.update(Changes(removed=change.changes.removed), {})
        if not change.moved:
            # Otherwise each routine goes on from where it stood, if it is found where the domain is now.
            await record.follow(change.domain, change.changes, now_ms)
            scheduler.update(change.changes, {})

    return follow


def _set_failed(domains: Domains) -> Callable[[Program], Awaitable[bool]]:
    async def set_failed(program: Program) -> bool:
        key = program.key
        store, known = domains.store(key.domain), domains.program(key.domain, key.uuid)
        if store is None or known is None or known.revision != program.revision:
            return False  # somebody has mended it, or taken it away
        await store.update_program(key.uuid, {"state": ProgramState.FAILED.value})
        await domains.refresh(key.domain)
        return True

    return set_failed


@asynccontextmanager
async def _background(services: Services, scheduler: Scheduler) -> AsyncIterator[None]:
    """The endless pieces of work. At the end they are cancelled, and so are the runs that are still under way."""
    works = {
        "scheduler": scheduler.run,
        "domain file": services.domains.follow_file,
        "sweep": lambda: _sweep_workers(services),
        "managers": lambda: services.record.managers.watch(services.clock.now_ms),
        "pending rows": lambda: services.record.watch_pending(services.clock.now_ms),
        "retention": lambda: _prune(services),
        "pauses": services.pauses.follow,
    }
    tasks = [asyncio.create_task(supervise(name, work), name=name) for name, work in works.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await scheduler.cancel_runs()
        await services.calls.cancel_runs()


async def _sweep_workers(services: Services) -> None:
    settings, clock = services.settings.worker, services.clock
    sweep = Sweep(services.workers, settings.timeout, settings.sweep_seconds, clock.monotonic_seconds())
    while True:
        await asyncio.sleep(settings.sweep_seconds)
        for worker in sweep.look(clock.monotonic_seconds()):
            log.warning("worker_dropped", worker=worker.name, runs=worker.runs, reason=sweep.reason)


async def _prune(services: Services) -> None:
    keep = services.settings.runs
    keep_ms = int(keep.keep_days * 24 * 3600 * 1000)
    while True:
        try:
            pruned = await services.record.prune(services.clock.now_ms() - keep_ms, keep.keep_per_program)
        except DatabaseError as error:
            log.error("record_not_pruned", reason=error.reason)
        else:
            log.debug("record_pruned", runs=pruned)
        await asyncio.sleep(PRUNE_INTERVAL_SECONDS)


def _routes(services: Services) -> list[Route]:
    apis = (
        SubscriberApi,
        LibraryApi,
        WebhookApi,
        ProgramApi,
        CodeApi,
        SigningApi,
        RunNowApi,
        RunApi,
        RunLogApi,
        ScheduleApi,
        OverviewApi,
    )
    metrics = MetricsApi(lambda: _registry(services))
    return [*(route for api in apis for route in api(services).routes()), *metrics.routes()]


def _registry(services: Services) -> "CollectorRegistry":
    from juvuln.metrics import registry_of

    return registry_of(services)


@asynccontextmanager
async def _serving(services: Services, sockets: Sequence[socket.socket]) -> AsyncIterator[int]:
    status = StatusApi(services.readiness, "Self-host Program Manager (juvuln)", DESCRIPTION)
    app = make_app(
        status.with_status(_routes(services)),
        max_body_bytes=services.settings.limits.body_bytes,
        refusal_of=refusal_of,
        answered=services.traffic.note,
    )
    limits, count = services.settings.limits, services.traffic.connections
    async with serving(app, sockets, limits=limits, drain_seconds=LAST_ANSWERS_SECONDS, count=count) as port:
        yield port

"""The daemon: opens its parts in order, and closes them in the reverse one."""

import asyncio
import os
import random
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

import aiohttp
import structlog

from malgomaj.advertise import introduction
from malgomaj.api import Api, TaskLimits
from malgomaj.backoff import BackoffRules
from malgomaj.config import WorkerSettings
from malgomaj.egress import load_egress
from malgomaj.executor_options import executor_options
from malgomaj.executors import Executors, open_executors
from malgomaj.held import Held
from malgomaj.kept_sources import KeptSources
from malgomaj.meter import TaskMeter
from malgomaj.modules import Library
from malgomaj.peer import Peer, SharedSecret
from malgomaj.plate import Plate
from malgomaj.programs import MIN_KEPT_SECONDS
from malgomaj.run_logs import RunLogs
from malgomaj.subscription import NOT_YET, PROBLEM, Manager, Subscription
from malgomaj.tasks import Tasks
from malgomaj.turns import Turns
from shared.auth import BasicCredentials
from shared.config import shared_secret
from shared.connections import ConnectionCount
from shared.daemon import supervise
from shared.health import Readiness
from shared.http import Route, listening, make_app
from shared.metrics_api import MetricsApi
from shared.status_api import StatusApi
from shared.streams import Streams
from shared.tls import system_roots
from shared.wire import Subscriber
from tengo_bridge import landlock

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

ANSWER_SECONDS = 2.0
"""How long what has been answered may take to reach the caller when the worker stops."""

LAST_TASKS_SECONDS = 0.3
"""How long tasks may be on the way that the manager sent before it heard the worker's goodbye."""

MAX_FOLLOWERS = 256
"""Logs of runs that are followed at once."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Parts:
    """What several parts of the worker need."""

    settings: WorkerSettings
    secret: SharedSecret
    readiness: Readiness
    plate: Plate
    held: Held
    credentials: BasicCredentials
    """What a manager must show; made up anew at each start."""


class Worker:
    """What can be asked of the running daemon."""

    def __init__(self, parts: Parts, subscription: Subscription, rhythm: "asyncio.Task[None]") -> None:
        self._parts = parts
        self._subscription = subscription
        self._rhythm = rhythm

    async def reload(self) -> None:
        """Read the shared secret again, and see at once whether the manager takes it."""
        self._parts.secret.refresh()
        self._subscription.look_now()

    async def drain(self) -> None:
        """Say goodbye, take nothing new, wait for what is in flight as long as configured, then cancel the rest."""
        self._parts.readiness.set("shutdown", "about to end")
        self._rhythm.cancel()
        heard = await self._subscription.say_goodbye()
        plate = self._parts.plate
        plate.close()
        self._parts.held.close()
        if heard:
            # Meanwhile others are at work, and each that comes here still is told that it was not begun.
            await asyncio.sleep(LAST_TASKS_SECONDS)
        try:
            async with asyncio.timeout(self._parts.settings.shutdown_timeout_seconds):
                await plate.empty()
        except TimeoutError:
            log.warning("tasks_cancelled", tasks=len(plate))
            plate.end_all()
            await plate.empty()


@asynccontextmanager
async def open_worker(settings: WorkerSettings) -> AsyncIterator[Worker]:
    """The worker, serving. Raises SelfhostError if it cannot start; it does not need the manager for that."""
    turns, plate = Turns(settings.limits.domain_runs, settings.limits.domain_queue), Plate(settings.limits.tasks)
    parts = Parts(
        settings=settings,
        secret=SharedSecret(lambda: shared_secret(settings)),
        readiness=Readiness(),
        plate=plate,
        held=Held(turns, plate),
        credentials=BasicCredentials(secrets.token_urlsafe(12), secrets.token_urlsafe(24)),
    )
    parts.readiness.set(PROBLEM, NOT_YET)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(_session())
        executors = await stack.enter_async_context(_executors(settings))
        languages = await executors.languages()
        _tell_what_landlock_lacks()
        # Of its own, for it keeps to so many connections: slow look-ups must not hold up the worker's sign of life.
        library_session = await stack.enter_async_context(_session())
        library = _library(parts, library_session)
        stack.push_async_callback(library.close)
        clock = asyncio.get_running_loop().time
        logs, meter, count = RunLogs(), TaskMeter(), ConnectionCount()
        kept = kept_seconds(settings)
        sources = KeptSources(settings.cache.sources_bytes)
        tasks = Tasks(executors, library, parts.held, parts.plate, turns, logs, meter, kept_seconds=kept, clock=clock)
        limits = TaskLimits(settings.limits.source_bytes, settings.limits.body_bytes)
        api = Api(
            tasks,
            sources,
            parts.held,
            parts.plate,
            turns,
            executors,
            logs,
            Streams(MAX_FOLLOWERS),
            meter,
            credentials=parts.credentials,
            languages=languages,
            limits=limits,
        )

        def make_registry() -> "CollectorRegistry":
            from malgomaj.metrics import registry_of

            return registry_of(
                parts.readiness, meter, parts.held, parts.plate, turns, sources, count, executors, library
            )

        routes = [*api.routes(), *MetricsApi(make_registry).routes()]
        port = await stack.enter_async_context(_serving(parts, routes, limits, count))
        subscription = _subscription(parts, session, port, languages)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        rhythm = group.create_task(supervise("subscription", subscription.keep))
        log.info("listening", host=settings.listen.host, port=port, languages=languages)
        try:
            yield Worker(parts, subscription, rhythm)
        finally:
            rhythm.cancel()
            # Nothing is left but where the worker has to end at once.
            parts.plate.close()
            parts.held.close()
            parts.plate.end_all()


def kept_seconds(settings: WorkerSettings) -> float:
    """How long a compiled program stays cached after its last use: no longer than the executor that holds it."""
    return min(max(settings.cache.program_timeout, MIN_KEPT_SECONDS), settings.executors.idle_seconds)


def _tell_what_landlock_lacks() -> None:
    """Once, as it is the same for all executors."""
    if lost := landlock.losses(landlock.abi_version()):
        log.warning("landlock_missing", lost=lost)


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=system_roots()), cookie_jar=aiohttp.DummyCookieJar()
    )


def _executors(settings: WorkerSettings) -> AbstractAsyncContextManager[Executors]:
    section = settings.executors
    egress = load_egress(settings.egress, os.environ)
    return open_executors(
        lambda domain: executor_options(settings, egress, domain),
        max_executors=section.max,
        idle_seconds=section.idle_seconds,
        backoff=BackoffRules(section.crashes_forgiven, section.backoff_seconds, section.max_backoff_seconds),
    )


def _library(parts: Parts, session: aiohttp.ClientSession) -> Library:
    settings = parts.settings
    return Library(
        session,
        Peer.at(settings.library_scheme, settings.library_authority),
        parts.secret,
        kept_seconds=settings.cache.library_timeout,
        max_bytes=settings.limits.source_bytes,
        max_kept_bytes=settings.cache.library_bytes,
        clock=asyncio.get_running_loop().time,
    )


def _serving(
    parts: Parts, routes: Sequence[Route], limits: TaskLimits, count: ConnectionCount
) -> AbstractAsyncContextManager[int]:
    settings = parts.settings
    status = StatusApi(parts.readiness, "malgomaj", "The Program Worker of Self-host: runs what its manager sends.")
    app = make_app(status.with_status(routes), max_body_bytes=limits.json_bytes)
    return listening(
        app,
        settings.listen.host,
        settings.listen.port,
        port_setting=settings.port_setting,
        drain_seconds=ANSWER_SECONDS,
        limits=settings.limits,
        count=count,
        # A manager that gave a run up, for whatever reason, has no use for it any more.
        end_abandoned=True,
    )


def _subscription(parts: Parts, session: aiohttp.ClientSession, port: int, languages: Sequence[str]) -> Subscription:
    settings = parts.settings
    peer = Peer.at(settings.program_manager.scheme, settings.program_manager.authority)
    uuid = uuid4()

    async def introduce() -> Subscriber:
        return await introduction(settings, peer, port, uuid, parts.credentials, list(languages))

    return Subscription(
        Manager(session, peer, parts.secret, uuid),
        parts.secret,
        parts.readiness,
        introduce=introduce,
        load=lambda: parts.plate.load,
        secret_advice=secret_advice(settings),
        interval_seconds=settings.subscription.interval_seconds,
        jitter=random.random,
    )


def secret_advice(settings: WorkerSettings) -> str:
    """What to do where manager and worker do not share their secret."""
    if settings.secret is not None:
        return "give both the same secret (MALGOMAJ_SECRET, JUVULN_SECRET)"
    return f"copy the manager's secret file over {settings.effective_secret_file.absolute()}"

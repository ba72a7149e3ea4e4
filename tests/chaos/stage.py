"""Where it happens: a manager with a clock of its own, workers, proxies between them, and the counting server."""

import asyncio
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from tests.chaos.clock import SettableClock, machine_ms
from tests.chaos.evidence import KnownRoutine, Life, Pause
from tests.chaos.postgres import ProxiedPostgres, open_postgres
from tests.chaos.proxy import Proxy, to_port
from tests.chaos.routines import DOMAINS, MISSED_LIMIT, START_DEADLINE_MS, ChaosRoutine, routines, rules
from tests.support.daemons import DaemonProcess
from tests.support.databases import DatabaseServer, SqliteFolder
from tests.support.installation import Installation
from tests.support.processes import begun, children
from tests.support.waiting import free_port

START_AGAIN_SECONDS = 0.3
LONGEST_START_SECONDS = 60.0
LOOK_FOR_EXECUTORS_SECONDS = 0.5
MANAGER: Mapping[str, str] = {
    "SCHEDULE__START_DEADLINE_SECONDS": str(START_DEADLINE_MS / 1000),
    "SCHEDULE__MISSED_LIMIT": str(MISSED_LIMIT),
    "DISPATCH__WAIT_FOR_WORKER_SECONDS": "1",
    "WORKER__TIMEOUT": "3",
    "WORKER__SWEEP_SECONDS": "1",
}


@dataclass(slots=True)
class Stage:
    """Open it with :func:`open_stage`."""

    installation: Installation
    clock: SettableClock
    manager: DaemonProcess
    manager_proxy: Proxy
    workers: Sequence[DaemonProcess]
    worker_proxies: Sequence[Proxy]
    postgres: ProxiedPostgres | None
    effects_path: Path
    placed: Mapping[ChaosRoutine, UUID]
    """The routines, as their domains know them."""
    known: list[KnownRoutine] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)
    manager_lives: list[Life] = field(default_factory=list)
    executors: set[tuple[int, int]] = field(default_factory=set)
    """All that were seen: their process ids, and when they began."""
    ended: list[str] = field(default_factory=list)
    """Daemons that ended though nobody had asked them to."""
    locks: dict[object, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    """One fault at a time for each part."""

    @property
    def daemons(self) -> Sequence[DaemonProcess]:
        return (self.manager, *self.workers)

    @property
    def record_url(self) -> str:
        """The record's database, past the proxy."""
        url = self.installation.record_url
        return self.postgres.direct(url) if self.postgres else url

    async def start(self) -> None:
        """Start everything; from then on the manager knows the routines."""
        before_ms = self.clock.now_ms()
        await asyncio.gather(*[daemon.start() for daemon in self.daemons])
        await self.installation.until_ready()
        after_ms = self.clock.now_ms()
        self.known = [
            KnownRoutine(each.name, each.schedule, each.deadline_ms, before_ms, after_ms, rules(each.tags))
            for each in self.placed
        ]

    async def start_again(self, daemon: DaemonProcess) -> None:
        """Start a daemon as often as it takes, as its service manager would; it may need what is away just now."""
        async with asyncio.timeout(LONGEST_START_SECONDS):
            while True:
                began_ms = machine_ms()
                try:
                    await daemon.start()
                except AssertionError:
                    await daemon.kill()
                    await asyncio.sleep(START_AGAIN_SECONDS)
                else:
                    if daemon is self.manager:
                        self.manager_lives.append(Life(began_ms, machine_ms()))
                    return

    async def start_postgres(self) -> None:
        """Start it as often as it takes: it gives up if putting its files in order takes long."""
        assert self.postgres is not None
        async with asyncio.timeout(LONGEST_START_SECONDS):
            while True:
                try:
                    await self.postgres.server.start()
                except (subprocess.SubprocessError, AssertionError):
                    await asyncio.sleep(START_AGAIN_SECONDS)
                else:
                    return

    async def set_to_failed(self) -> frozenset[str]:
        """The routines that are so in their domains."""
        stores = {name: domain.store for name, domain in self.installation.domains.items()}
        states = {each.name: await stores[each.domain].specification(uuid) for each, uuid in self.placed.items()}
        return frozenset(name for name, specification in states.items() if specification.state == "failed")

    def note_if_ended(self, daemon: DaemonProcess) -> None:
        if daemon.process.returncode is not None:
            self.ended.append(f"{daemon.name} on port {daemon.port} had ended with {daemon.process.returncode}")

    async def look_for_executors(self) -> None:
        """Note all executors, for ever, so that it can be seen at the end that none was left."""
        while True:
            self.note_executors()
            await asyncio.sleep(LOOK_FOR_EXECUTORS_SECONDS)

    def note_executors(self) -> None:
        for worker in self.workers:
            self.executors.update(executors_of(worker))

    def executors_left(self) -> list[int]:
        return [pid for pid, began in self.executors if begun(pid) == began]


def executors_of(worker: DaemonProcess) -> Iterator[tuple[int, int]]:
    """The executors that a worker has now: their process ids, and when they began."""
    for pid in children(worker.pid):
        began = begun(pid)
        if began is not None:
            yield pid, began


@asynccontextmanager
async def open_stage(folder: Path, database: str, workers: int) -> AsyncIterator[Stage]:
    """Everything up and running, on a kind of database; all gone at the end."""
    async with AsyncExitStack() as stack:
        clock = SettableClock(folder)
        stack.callback(clock.close)
        effects_path = folder / "effects.log"
        counting_url = await stack.enter_async_context(_counting(effects_path))
        postgres = None
        if database == "postgresql":
            postgres = await stack.enter_async_context(open_postgres(folder / "postgresql"))
        installation = await stack.enter_async_context(_installation(folder, postgres or SqliteFolder(folder)))
        placed = await _fill(installation, list(routines(counting_url)))
        manager = installation.manager(**MANAGER)
        manager.environ = {**manager.environ, **clock.environ}
        manager_proxy = await _proxy(stack, manager.port)
        authority = f"127.0.0.1:{manager_proxy.port}"
        worker_daemons, worker_proxies = [], []
        for _ in range(workers):
            port = free_port()
            worker = installation.worker(PROGRAM_MANAGER__AUTHORITY=authority, ADVERTISE__PORT=str(port))
            worker_daemons.append(worker)
            worker_proxies.append(await _proxy(stack, worker.port, port))
        stage = Stage(
            installation, clock, manager, manager_proxy, worker_daemons, worker_proxies, postgres, effects_path, placed
        )
        await stage.start()
        yield stage


async def _fill(installation: Installation, chaos_routines: Sequence[ChaosRoutine]) -> Mapping[ChaosRoutine, UUID]:
    placed = {}
    for name in DOMAINS:
        await installation.add_domain(name)
    for each in chaos_routines:
        domain = installation.domains[each.domain]
        placed[each] = await domain.add(
            each.name,
            each.code,
            kind="routine",
            schedule=each.schedule,
            deadline_ms=each.deadline_ms,
            tags=each.tags,
        )
    for domain in installation.domains.values():
        await domain.store.close()
    return placed


@asynccontextmanager
async def _installation(folder: Path, databases: DatabaseServer) -> AsyncIterator[Installation]:
    installation = Installation(folder, databases, refresh_seconds=2.0)
    try:
        await installation.open()
        yield installation
    finally:
        await installation.close()


async def _proxy(stack: AsyncExitStack, target_port: int, port: int | None = None) -> Proxy:
    proxy = Proxy(to_port(target_port), port or free_port())
    await proxy.accept()
    stack.push_async_callback(proxy.refuse)
    return proxy


@asynccontextmanager
async def _counting(log: Path) -> AsyncIterator[str]:
    """The counting server; gives its URL."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chaos.counting", log, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        port = int(await process.stdout.readline())
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()

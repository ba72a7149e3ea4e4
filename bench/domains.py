"""Many domains with many programs: how long the manager takes to read them, and what it costs to find nothing new."""

import asyncio
import hashlib
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import aiohttp
import yaml
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import insert

from bench.installation import Daemon, daemon, free_port, memory_mib
from juvuln.database import open_engine
from juvuln.domains.create import ROOT_UUID, create_domain
from juvuln.domains.tables import programs, revisions
from shared.auth import BasicCredentials
from tests.support.databases import PostgresServer

PROGRAMS = 1_000
"""In each domain: a tenth routines, a tenth modules, the others webhooks."""
CODE_BYTES = 300
POLLS = 5
SCRAPES = 20
CHANGES = 20
WAIT_SECONDS = 120.0


@asynccontextmanager
async def sqlite_domains(folder: Path, count: int) -> AsyncIterator[tuple[list[str], UUID]]:
    """So many domains with the same programs: their URLs, and one of the programs."""
    uuid = await fill(f"sqlite:///{folder}/template.db")
    for number in range(count):
        await asyncio.to_thread(shutil.copy, folder / "template.db", folder / f"{number}.db")
    yield [f"sqlite:///{folder}/{number}.db" for number in range(count)], uuid


@asynccontextmanager
async def postgresql_domains(folder: Path, count: int) -> AsyncIterator[tuple[list[str], UUID]]:
    """The same as databases of one server."""
    server = await asyncio.to_thread(PostgresServer, folder / "postgres")
    try:
        template = await server.create()
        uuid = await fill(template)
        yield [await server.copy(template) for _ in range(count)], uuid
    finally:
        await asyncio.to_thread(server.close)


@dataclass(frozen=True, slots=True)
class Figures:
    load_seconds: float
    """From the start of the daemon until all domains are read."""
    load_cpu_seconds: float
    memory_mib: float
    poll_cpu_seconds: Sequence[float]
    """Of the manager's process, for one poll of all domains that finds nothing."""
    poll_seconds: Sequence[float]
    scrape_ms: Sequence[float]
    """To ask for all figures."""
    change_ms: Sequence[float]
    """To change a program through the API, until the change is in effect."""


async def fill(url: str, count: int = PROGRAMS) -> UUID:
    """Make a domain with programs; gives one of them."""
    engine = open_engine(url, create=True)
    await create_domain(engine, "bench", datetime.now(UTC))
    uuids = [uuid4() for _ in range(count)]
    async with engine.begin() as connection:
        await connection.execute(insert(programs), [_program(number, uuid) for number, uuid in enumerate(uuids)])
        await connection.execute(insert(revisions), [_revision(uuid) for uuid in uuids])
    await engine.dispose()
    return uuids[-1]


def _program(number: int, uuid: UUID) -> dict[str, object]:
    kind = {0: "routine", 1: "module"}.get(number % 10, "webhook")
    # Routines that are not due while we measure.
    schedule = f"0 {number % 60} 3 1 1 *" if kind == "routine" else ""
    return {
        "uuid": uuid,
        "name": f"program-{number}",
        "type": kind,
        "state": "active",
        "schedule": schedule,
        "deadline": 1000,
        "language": "tengo",
        "tags": ["bench"],
    }


def _revision(uuid: UUID) -> dict[str, object]:
    code = f"// {uuid}\n".encode().ljust(CODE_BYTES, b"x")
    now = datetime.now(UTC)
    return {
        "program_uuid": uuid,
        "revision": 0,
        "created": now,
        "created_by": ROOT_UUID,
        "signed": now,
        "signed_by": ROOT_UUID,
        "code": code,
        "checksum": hashlib.sha256(code).digest(),
    }


async def measure(folder: Path, urls: Sequence[str], uuid: UUID) -> Figures:
    """Run the manager on domains that hold the same programs, ``uuid`` one of them."""
    file = folder / "domains.yaml"
    names = [f"domain-{number}" for number in range(len(urls))]
    file.write_text(yaml.safe_dump({"domains": dict(zip(names, urls, strict=True))}), encoding="utf-8")
    settings = {"DOMAINFILE": str(file), "REFRESH__INTERVAL_SECONDS": "3600", "LOG__FORMAT": "json"}
    started = time.perf_counter()
    async with daemon("juvuln", folder, free_port(), "/healthz", **settings) as manager, _api(manager) as api:
        await _until(lambda: api.has_read(len(urls)), "all domains are read")
        load_seconds, load_cpu_seconds = time.perf_counter() - started, _cpu_seconds(manager.pid)
        polls = [await _poll(manager, folder / "juvuln.log", number) for number in range(1, POLLS + 1)]
        scrapes = [await api.scrape() for _ in range(SCRAPES)]
        changes = [await api.change(names[0], uuid, deadline) for deadline in range(1, CHANGES + 1)]
        return Figures(
            load_seconds,
            load_cpu_seconds,
            memory_mib(manager.pid),
            [cpu for cpu, _ in polls],
            [took for _, took in polls],
            scrapes,
            changes,
        )


class Api:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def has_read(self, domains: int) -> bool:
        async with self._session.get("/metrics") as answer:
            families = text_string_to_metric_families(await answer.text())
        return sum(len(each.samples) for each in families if each.name == "juvuln_domain_programs") == domains

    async def scrape(self) -> float:
        began = time.perf_counter()
        async with self._session.get("/metrics") as answer:
            await answer.read()
        return (time.perf_counter() - began) * 1000

    async def change(self, domain: str, uuid: UUID, deadline: int) -> float:
        headers = {"Authorization": BasicCredentials(domain, "root").header()}
        began = time.perf_counter()
        async with self._session.put(f"/v2/programs/{uuid}", json={"deadline": deadline}, headers=headers) as answer:
            assert answer.status == 204, await answer.text()
        return (time.perf_counter() - began) * 1000


@asynccontextmanager
async def _api(manager: Daemon) -> AsyncIterator[Api]:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{manager.port}") as session:
        yield Api(session)


async def _poll(manager: Daemon, log: Path, number: int) -> tuple[float, float]:
    """Have all domains asked; the processor time and the time that it took."""
    cpu, began = _cpu_seconds(manager.pid), time.perf_counter()
    os.kill(manager.pid, signal.SIGHUP)

    async def reloaded() -> bool:
        return _lines(log, '"reloaded"') >= number

    await _until(reloaded, "all domains were asked")
    return _cpu_seconds(manager.pid) - cpu, time.perf_counter() - began


async def _until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not await condition():
        assert time.monotonic() < deadline, f"not within {WAIT_SECONDS:g} s: {what}"
        await asyncio.sleep(0.1)


def _lines(log: Path, text: str) -> int:
    return log.read_text(encoding="utf-8").count(text)


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

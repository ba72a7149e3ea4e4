"""Many domains with many programs."""

import asyncio
import hashlib
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import aiohttp
import yaml
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import insert

from bench.installation import Daemon, daemon, free_port
from juvuln.database import open_engine
from juvuln.domains.create import ROOT_UUID, create_domain
from juvuln.domains.tables import programs, revisions
from shared.auth import BasicCredentials
from tests.support.databases import PostgresServer

PROGRAMS = 1_000
"""In each domain: a tenth routines, a tenth modules, the others webhooks."""
CODE_BYTES = 300
WAIT_SECONDS = 120.0


async def sqlite_domains(folder: Path, count: int) -> tuple[Sequence[str], UUID]:
    """So many domains with the same programs: their URLs, and one of the programs."""
    uuid = await fill(f"sqlite:///{folder}/template.db")
    for number in range(count):
        await asyncio.to_thread(shutil.copy, folder / "template.db", folder / f"{number}.db")
    return [f"sqlite:///{folder}/{number}.db" for number in range(count)], uuid


async def postgres_domains(server: PostgresServer, count: int) -> tuple[Sequence[str], UUID]:
    """The same in PostgreSQL."""
    template = await server.create()
    uuid = await fill(template)
    return [await server.copy(template) for _ in range(count)], uuid


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


def write_domain_file(folder: Path, urls: Sequence[str]) -> Path:
    """The file that names these domains."""
    file = folder / "domains.yaml"
    named = {f"domain-{number}": url for number, url in enumerate(urls)}
    file.write_text(yaml.safe_dump({"domains": named}), encoding="utf-8")
    return file


@asynccontextmanager
async def manager_of(folder: Path, urls: Sequence[str]) -> AsyncIterator[tuple[Daemon, "Api"]]:
    """The manager with these domains, named domain-0 and so on, once it has read all of them."""
    settings = {"DOMAINFILE": str(write_domain_file(folder, urls))}
    async with (
        daemon("juvuln", folder, free_port(), "/healthz", **settings) as manager,
        aiohttp.ClientSession(f"http://127.0.0.1:{manager.port}") as session,
    ):
        api = Api(session)
        await until(lambda: api.has_read(len(urls)), "all domains are read")
        yield manager, api


async def until(condition: Callable[[], Awaitable[bool]], what: str, pause_seconds: float = 0.1) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not await condition():
        assert time.monotonic() < deadline, f"not within {WAIT_SECONDS:g} s: {what}"
        await asyncio.sleep(pause_seconds)


class Api:
    """What the manager is asked for."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def has_read(self, domains: int) -> bool:
        return len(await self.figures("juvuln_domain_programs")) == domains

    async def figures(self, name: str) -> Sequence[float]:
        """The values of a figure, one for each domain."""
        async with self._session.get("/metrics") as answer:
            families = text_string_to_metric_families(await answer.text())
        return [sample.value for each in families if each.name == name for sample in each.samples]

    async def shows(self, name: str, value: float) -> bool:
        """Whether a figure is this for the only domain."""
        return await self.figures(name) == [value]

    async def scrape_ms(self) -> float:
        """To ask for all figures."""
        began = time.perf_counter()
        async with self._session.get("/metrics") as answer:
            await answer.read()
        return (time.perf_counter() - began) * 1000

    async def change_ms(self, domain: str, uuid: UUID, deadline: int) -> float:
        """To change a program, until the change is in effect."""
        headers = {"Authorization": BasicCredentials(domain, "root").header()}
        began = time.perf_counter()
        async with self._session.put(f"/v2/programs/{uuid}", json={"deadline": deadline}, headers=headers) as answer:
            assert answer.status == 204, await answer.text()
        return (time.perf_counter() - began) * 1000

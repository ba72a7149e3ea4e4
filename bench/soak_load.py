"""What `make soak` has an installation do: its domains, and those who call them."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import aiohttp

from bench.tasks import HOSTILE
from juvuln.database import open_engine
from juvuln.domains.create import ROOT_UUID, create_domain
from juvuln.domains.store import DomainStore, Specification
from shared.auth import BasicCredentials

ROUTINES = 10
"""Of each domain, every second."""
HOSTILE_DOMAIN = 0
"""The one whose hostile programs are called; all have some."""
CALM_WEBHOOK = "webhook of a calm domain"
QUIET = 'log := import("log"); log.info("beat")'
ANSWERS = 'cgi := import("cgi"); cgi.response.write("hello")'
TIMEOUT = aiohttp.ClientTimeout(total=30)

Call = Callable[[aiohttp.ClientSession, int], Coroutine[None, None, None]]


@dataclass(frozen=True, slots=True)
class SoakDomain:
    name: str
    url: str
    webhook: UUID
    hostile: Sequence[UUID]


async def make_domain(folder: Path, name: str) -> SoakDomain:
    url = f"sqlite:///{folder}/{name}.db"
    engine = open_engine(url, create=True)
    await create_domain(engine, name, datetime.now(UTC))
    store = DomainStore(name, engine)

    async def add(kind: str, program: str, source: str, schedule: str = "") -> UUID:
        uuid, now = uuid4(), datetime.now(UTC)
        await store.create_program(
            Specification(uuid, program, kind, "active", schedule, 1000, "tengo", ()), [ROOT_UUID], uuid4
        )
        await store.sign_revision(uuid, await store.add_revision(uuid, source.encode(), ROOT_UUID, now), ROOT_UUID, now)
        return uuid

    for number in range(ROUTINES):
        await add("routine", f"beat-{number}", QUIET, "* * * * * *")
    webhook = await add("webhook", "answers", ANSWERS)
    hostile = [await add("webhook", f"hostile-{number}", source) for number, source in enumerate(HOSTILE)]
    await store.close()
    return SoakDomain(name, url, webhook, hostile)


class Callers:
    """Of an installation."""

    def __init__(self, manager_port: int, domains: Sequence[SoakDomain]) -> None:
        self.answered: Counter[str] = Counter()
        """How often what was answered how."""
        self.unanswered: Counter[str] = Counter()
        self._manager_port = manager_port
        self._domains = domains

    async def webhooks(self, session: aiohttp.ClientSession, number: int) -> None:
        domain = self._domains[number % len(self._domains)]
        what = CALM_WEBHOOK if domain is not self._domains[HOSTILE_DOMAIN] else "webhook of the hostile domain"
        await self._call(session, what, f"/v1/webhooks/{domain.name}/{domain.webhook}", domain.name, b"body")

    async def uploads(self, session: aiohttp.ClientSession, number: int) -> None:
        domain = self._domains[number % len(self._domains)]
        code = f"{ANSWERS} // {number}".encode()
        path = f"/v2/programs/{domain.webhook}"
        if await self._call(session, "upload", f"{path}/code", domain.name, code) == 201:
            # The first revision is 0, and this domain's uploads come one after the other.
            revision = number // len(self._domains) + 1
            await self._call(session, "sign", f"{path}/revisions/{revision}/sign", domain.name, b"", "PUT")
            await self._call(session, "delete", f"{path}/revisions/{revision - 1}", domain.name, b"", "DELETE")

    async def hostile(self, session: aiohttp.ClientSession, number: int) -> None:
        domain = self._domains[HOSTILE_DOMAIN]
        program = domain.hostile[number % len(domain.hostile)]
        await self._call(session, "hostile", f"/v1/webhooks/{domain.name}/{program}", domain.name, b"")

    async def _call(
        self, session: aiohttp.ClientSession, what: str, path: str, domain: str, body: bytes, method: str = "POST"
    ) -> int:
        headers = {"Authorization": BasicCredentials(domain, "root").header()}
        url = f"http://127.0.0.1:{self._manager_port}{path}"
        try:
            async with session.request(method, url, data=body, headers=headers) as answer:
                await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            self.unanswered[f"{what}: {type(error).__name__}"] += 1
            return 0
        self.answered[f"{what} {answer.status}"] += 1
        return answer.status


async def at_rate(per_second: float, until: float, call: Call) -> None:
    """Begin a call whenever it is due, whether or not the ones before have ended."""
    began = time.monotonic()
    async with aiohttp.ClientSession(timeout=TIMEOUT) as session, asyncio.TaskGroup() as group:
        number = 0
        while (due := began + number / per_second) < until:
            await asyncio.sleep(due - time.monotonic())
            group.create_task(call(session, number))
            number += 1


async def one_after_the_other(per_second: float, until: float, call: Call) -> None:
    """Begin a call when it is due and the one before has ended."""
    async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
        number = 0
        while time.monotonic() < until:
            await call(session, number)
            await asyncio.sleep(1 / per_second)
            number += 1

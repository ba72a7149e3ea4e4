"""`make soak MINUTES=30`: mixed load for a long time, and whether anything creeps up.

Routines, webhooks at a fixed rate, uploads, programs that loop, crash and fill memory, and workers that are restarted
in turn, all at once. A run of half an hour or more writes results/soak.json and its plots; a shorter one only shows
what it found.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import aiohttp
import yaml

from bench.curves import Curve, point, svg, to_json
from bench.installation import Daemon, children, daemon, free_port, memory_mb, until_answers, worker_of
from bench.tasks import HOSTILE
from bench.tools import BENCH
from juvuln.database import open_engine
from juvuln.domains.create import ROOT_UUID, create_domain
from juvuln.domains.store import DomainStore, Specification
from shared.auth import BasicCredentials
from shared.logging import configure_logging

RESULTS = BENCH / "results" / "soak.json"
PLOTS = BENCH.parent / "docs" / "performance"

DOMAINS = 4
ROUTINES = 10
"""Of each domain, every second."""
WEBHOOKS_PER_SECOND = 50
UPLOADS_PER_SECOND = 1
HOSTILE_PER_SECOND = 2
WORKERS = 2
SAMPLES = 180
POINTS = 12
"""Of a plot."""
MAX_DRIFT = 0.05
RESTARTS = 4
LONG_MINUTES = 30.0
END_SECONDS = 3.0
"""Before the workers end, for the last calls to be answered."""
UNITS = {"memory": "MB", "databases": "MB"}
GROWS = ("databases",)
"""With every run, until those of 30 days ago go; a soak is shorter."""
QUIET = 'log := import("log"); log.info("beat")'
ANSWERS = 'cgi := import("cgi"); cgi.response.write("hello")'
TIMEOUT = aiohttp.ClientTimeout(total=30)

Call = Callable[[aiohttp.ClientSession, int], Coroutine[None, None, None]]
Samples = dict[str, list[tuple[float, float]]]


@dataclass(frozen=True, slots=True)
class SoakDomain:
    name: str
    url: str
    webhook: UUID
    hostile: Sequence[UUID]


@dataclass(slots=True)
class Installation:
    """What runs now, and what was answered so far."""

    manager: Daemon
    folder: Path
    workers: dict[int, Daemon] = field(default_factory=dict)
    answered: Counter[str] = field(default_factory=Counter)


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


@asynccontextmanager
async def manager_of(folder: Path, domains: Sequence[SoakDomain]) -> AsyncIterator[Installation]:
    file = folder / "domains.yaml"
    file.write_text(yaml.safe_dump({"domains": {each.name: each.url for each in domains}}), encoding="utf-8")
    settings = {"DOMAINFILE": str(file)}
    async with daemon("juvuln", folder, free_port(), "/healthz", **settings) as manager:
        yield Installation(manager, folder)


class Load:
    """The callers of an installation."""

    def __init__(self, installation: Installation, domains: Sequence[SoakDomain]) -> None:
        self._installation = installation
        self._domains = domains

    async def webhooks(self, session: aiohttp.ClientSession, number: int) -> None:
        domain = self._domains[number % len(self._domains)]
        await self._call(session, "webhook", f"/v1/webhooks/{domain.name}/{domain.webhook}", domain.name, b"body")

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
        domain = self._domains[0]
        program = domain.hostile[number % len(domain.hostile)]
        await self._call(session, "hostile", f"/v1/webhooks/{domain.name}/{program}", domain.name, b"")

    async def _call(
        self, session: aiohttp.ClientSession, what: str, path: str, domain: str, body: bytes, method: str = "POST"
    ) -> int:
        headers = {"Authorization": BasicCredentials(domain, "root").header()}
        url = f"http://127.0.0.1:{self._installation.manager.port}{path}"
        async with session.request(method, url, data=body, headers=headers) as answer:
            await answer.read()
        self._installation.answered[f"{what} {answer.status}"] += 1
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


async def worker_with_restarts(installation: Installation, number: int, until: float, first_seconds: float) -> None:
    """A worker that is ended and started anew four times; the other one takes what comes meanwhile."""
    lives_until = time.monotonic() + first_seconds
    place = installation.folder / f"worker-{number}"
    place.mkdir()
    life_seconds = (until - time.monotonic()) / RESTARTS
    while (now := time.monotonic()) < until:
        async with worker_of(installation.manager.port, place, installation.folder) as worker:
            installation.workers[number] = worker
            await asyncio.sleep(max(0.0, min(lives_until, until) - now))
            del installation.workers[number]
        lives_until += life_seconds


def sampled(installation: Installation) -> Mapping[str, float]:
    """What the daemons take now; workers that are being restarted are left out of the means."""
    workers = [worker.pid for worker in installation.workers.values()]
    manager = installation.manager.pid
    found = {f"manager-{name}": value for name, value in _of_process(manager).items()}
    each = [_of_process(pid) for pid in workers]
    found |= {f"worker-{name}": statistics.fmean(one[name] for one in each) for name in (each[0] if each else ())}
    if workers:
        found["executors"] = statistics.fmean(len(children(worker)) for worker in workers)
    found["databases"] = sum(file.stat().st_size for file in installation.folder.glob("*.db*")) / 1e6
    return found


def _of_process(pid: int) -> Mapping[str, float]:
    place = Path(f"/proc/{pid}")
    return {
        "memory": memory_mb(pid),
        "descriptors": float(sum(1 for _ in (place / "fd").iterdir())),
        "threads": float(sum(1 for _ in (place / "task").iterdir())),
    }


async def sample(installation: Installation, until: float, samples: Samples) -> None:
    """Take samples, evenly."""
    began = time.monotonic()
    while (now := time.monotonic()) < until:
        for name, value in sampled(installation).items():
            samples[name].append(((now - began) / 60, value))
        await asyncio.sleep((until - began) / SAMPLES)


def drift(series: Sequence[tuple[float, float]]) -> float:
    """By how much of its mean a straight line through the last two thirds rises from their beginning to their end."""
    late = series[len(series) // 3 :]
    times, values = [at for at, _ in late], [value for _, value in late]
    if len(set(times)) < 2 or not any(values):
        return 0.0
    return statistics.linear_regression(times, values).slope * (times[-1] - times[0]) / statistics.fmean(values)


async def soak(folder: Path, minutes: float) -> tuple[Samples, Counter[str]]:
    """The whole run: samples by what they are of, with their minute, and what was answered how often."""
    domains = [await make_domain(folder, f"d{number}") for number in range(DOMAINS)]
    samples: Samples = defaultdict(list)
    async with manager_of(folder, domains) as installation:
        load, until = Load(installation, domains), time.monotonic() + minutes * 60
        async with asyncio.TaskGroup() as group:
            for number in range(WORKERS):
                first = minutes * 60 / RESTARTS * (number + 1) / WORKERS
                group.create_task(worker_with_restarts(installation, number, until, first))
            await until_answers(f"http://127.0.0.1:{installation.manager.port}/readyz")
            group.create_task(at_rate(WEBHOOKS_PER_SECOND, until - END_SECONDS, load.webhooks))
            group.create_task(at_rate(HOSTILE_PER_SECOND, until - END_SECONDS, load.hostile))
            group.create_task(one_after_the_other(UPLOADS_PER_SECOND, until - END_SECONDS, load.uploads))
            group.create_task(sample(installation, until - END_SECONDS, samples))
        return samples, installation.answered


def curve(name: str, series: Sequence[tuple[float, float]]) -> Curve:
    """The samples, gathered into a few points."""
    size = max(1, len(series) // POINTS)
    gathered = [series[first : first + size] for first in range(0, len(series), size)]
    points = [point(round(part[-1][0], 1), [value for _, value in part]) for part in gathered]
    return Curve(f"soak-{name}", name.replace("-", ", "), "minutes", UNITS.get(name.rpartition("-")[2], ""), points)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description="Run a mixed load, and look for drift.")
    parser.add_argument("--minutes", type=float, default=LONG_MINUTES)
    minutes = parser.parse_args().minutes
    configure_logging("bench", log_format="console", level="error")
    with tempfile.TemporaryDirectory() as folder:
        samples, answered = asyncio.run(soak(Path(folder), minutes))
    for what, count in sorted(answered.items()):
        print(f"{what:<24} {count}")
    drifting = False
    for name, series in samples.items():
        rises = drift(series)
        bad = rises > MAX_DRIFT and name not in GROWS
        drifting |= bad
        note = "grows with the record" if name in GROWS else "drifts" if bad else "steady"
        print(f"{name:<24} {series[-1][1]:>10.1f} {rises:>+8.1%}  {note}")
    print(f"Verdict: {'something drifts' if drifting else 'nothing drifts'}.")
    if minutes >= LONG_MINUTES:
        curves = [curve(name, series) for name, series in samples.items()]
        RESULTS.write_text(to_json(curves), encoding="utf-8")
        for each in curves:
            (PLOTS / f"{each.name}.svg").write_text(svg(each), encoding="utf-8")
    return 1 if drifting else 0


if __name__ == "__main__":
    sys.exit(main())

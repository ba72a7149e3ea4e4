"""What the daemons take while nothing happens, and how long until they are there."""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from uuid import UUID

from sqlalchemy import update

from bench import counting, domains
from bench.installation import both_daemons, children, memory_mb, memory_of_its_own_mb, processor_seconds
from bench.load import Load, run_load
from bench.rounds import QUICK, Effort, Figures
from bench.webhooks import demo_domain, greet_request
from juvuln.async_engine import AsyncEngine
from juvuln.database import open_engine
from juvuln.domains.notify import install
from juvuln.domains.tables import programs
from tests.support.databases import running_postgres

DOMAINS = 100
CALLS = 20
POLL_SECONDS = 60.0
"""How often the manager reads its domains: so long is a round of idling, with one reading in it."""


async def rest(folder: Path, effort: Effort) -> Figures:
    """Both daemons, started anew for each round; memory after the first call."""
    started, memory, once = [], [], []
    for number in range(effort.rounds):
        place = folder / str(number)
        place.mkdir()
        urls = await demo_domain(place)
        began = time.perf_counter()
        async with both_daemons(place, urls) as (manager, workers):
            started.append(time.perf_counter() - began)
            await run_load(Load(manager.port, [greet_request(manager.port)], callers=1, once=True))
            pids = [manager.pid, workers[0].pid, *children(workers[0].pid)[:1]]
            memory.append(sum(map(memory_mb, pids)))
            once.append(sum(map(memory_of_its_own_mb, pids)))
    return {"start": started, "rest-memory": memory, "rest-memory-once": once}


async def idle(folder: Path, effort: Effort) -> Figures:
    """The manager with a hundred domains of a thousand programs, at its own pace."""
    return await _idle(folder, *await domains.sqlite_domains(folder, DOMAINS), effort)


async def idle_on_postgresql(folder: Path, effort: Effort) -> Figures:
    """The same with the domains in a PostgreSQL as it comes, which admits a hundred connections."""
    with running_postgres() as server:
        found = await _idle(folder, *await domains.postgres_domains(server, DOMAINS), effort)
    return {f"{name}-postgresql": rounds for name, rounds in found.items()}


async def _idle(folder: Path, urls: Sequence[str], uuid: UUID, effort: Effort) -> Figures:
    loaded = []
    for number in range(effort.rounds):
        place = folder / f"start-{number}"
        place.mkdir()
        loaded.append(await _load_seconds(place, urls))
    seconds, memory = [], []
    async with domains.manager_of(folder, urls) as (manager, api):
        for _ in range(1 if effort == QUICK else effort.rounds):
            before = processor_seconds(manager.pid)
            await asyncio.sleep(POLL_SECONDS)
            seconds.append(processor_seconds(manager.pid) - before)
            memory.append(memory_mb(manager.pid))
        scrapes = [await api.scrape_ms() for _ in range(CALLS)]
        changes = [await api.change_ms("domain-0", uuid, deadline) for deadline in range(1, CALLS + 1)]
    return {
        "idle-cpu": [each / POLL_SECONDS * 100 for each in seconds],
        "poll-cpu": seconds,
        "idle-memory": memory,
        "load-domains": loaded,
        "scrape": scrapes,
        "change": changes,
    }


async def _load_seconds(place: Path, urls: Sequence[str]) -> float:
    """From the start of a manager that was never there before until it has read these domains."""
    began = time.perf_counter()
    async with domains.manager_of(place, urls):
        return time.perf_counter() - began


async def notified(folder: Path, effort: Effort) -> Figures:
    """What somebody else commits to a PostgreSQL domain with the trigger, until the manager goes by it."""
    with running_postgres() as server:
        (url,), uuid = await domains.postgres_domains(server, 1)
        engine = open_engine(url)
        await install(engine)
        async with domains.manager_of(folder, [url]) as (_, api):
            await domains.until(lambda: api.shows("juvuln_domain_listening", 1), "the manager listens")
            (count,) = await api.figures("juvuln_domain_programs")
            heard = [
                await _heard_seconds(api, engine, uuid, state, count - gone)
                for _ in range(effort.rounds * 2)
                for state, gone in (("inactive", 1), ("active", 0))
            ]
        await engine.dispose()
    return {"notified": heard}


async def domain_file(folder: Path, effort: Effort) -> Figures:
    """What is written to the file of domains, until the manager has read the new domain, or lets go of the old one."""
    first, _ = await domains.sqlite_domains(folder, 1)
    second = folder / "second"
    second.mkdir()
    others, _ = await domains.sqlite_domains(second, 1)
    taken = []
    async with domains.manager_of(folder, first) as (_, api):
        for _ in range(effort.rounds):
            for urls in ([*first, *others], first):
                began = time.perf_counter()
                domains.write_domain_file(folder, urls)
                await domains.until(partial(api.has_read, len(urls)), "the file is followed", 0.01)
                taken.append(time.perf_counter() - began)
    return {"domain-file": taken}


async def _heard_seconds(api: domains.Api, engine: AsyncEngine, uuid: UUID, state: str, count: float) -> float:
    """From the commit of a program's state until as many programs are followed."""
    async with engine.begin() as connection:
        await connection.execute(update(programs).where(programs.c.uuid == uuid).values(state=state))
    began = time.perf_counter()
    await domains.until(lambda: api.shows("juvuln_domain_programs", count), "the change is heard of", 0.005)
    return time.perf_counter() - began


async def counting_runs(_folder: Path, effort: Effort) -> Figures:
    """What the figures of /metrics cost a run."""
    return {
        "counted-worker": [counting.worker_us() for _ in range(effort.rounds)],
        "counted-manager": [counting.manager_us() for _ in range(effort.rounds)],
    }

"""What the daemons take while nothing happens, and how long until they are there."""

import asyncio
import time
from pathlib import Path

from bench import counting, domains
from bench.installation import both_daemons, children, memory_mb, processor_seconds
from bench.load import Load, run_load
from bench.rounds import QUICK, Effort, Figures
from bench.webhooks import demo_domain, greet_request

DOMAINS = 100
CALLS = 20
POLL_SECONDS = 60.0
"""How often the manager reads its domains: so long is a round of idling, with one reading in it."""


async def rest(folder: Path, effort: Effort) -> Figures:
    """Both daemons, started anew for each round; memory after the first call."""
    started, memory = [], []
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
    return {"start": started, "rest-memory": memory}


async def idle(folder: Path, effort: Effort) -> Figures:
    """The manager with a hundred domains of a thousand programs, at its own pace."""
    processor, memory = [], []
    urls, uuid = await domains.sqlite_domains(folder, DOMAINS)
    began = time.perf_counter()
    async with domains.manager_of(folder, urls) as (manager, api):
        loaded = time.perf_counter() - began
        for _ in range(1 if effort == QUICK else effort.rounds):
            before, began = processor_seconds(manager.pid), time.perf_counter()
            await asyncio.sleep(POLL_SECONDS)
            processor.append((processor_seconds(manager.pid) - before) / (time.perf_counter() - began) * 100)
            memory.append(memory_mb(manager.pid))
        scrapes = [await api.scrape_ms() for _ in range(CALLS)]
        changes = [await api.change_ms("domain-0", uuid, deadline) for deadline in range(1, CALLS + 1)]
    return {
        "idle-cpu": processor,
        "idle-memory": memory,
        "load-domains": [loaded],
        "scrape": scrapes,
        "change": changes,
    }


async def counting_runs(_folder: Path, effort: Effort) -> Figures:
    """What the figures of /metrics cost a run."""
    return {
        "counted-worker": [counting.worker_us() for _ in range(effort.rounds)],
        "counted-manager": [counting.manager_us() for _ in range(effort.rounds)],
    }

"""Tasks straight to the worker, beside plain Go and the bare parts that it is made of."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

from bench import engine
from bench.engine import TRIVIAL
from bench.installation import worker_alone
from bench.load import Answers, Load, http_request, run_load
from bench.peers import bare_aiohttp, bare_go, peer_go
from bench.rounds import Effort, Figures, alternate
from bench.rows import headroom, ratios

WAITS_50_MS = 'import("times").sleep(50000000)'
NEW_PROGRAMS = 100
"""In each round."""
NEW_DOMAINS = 4
"""In each round; a worker has 64 executors at most."""
CALM_RATE = 100.0
HOSTILE_CALLERS = 8
HOSTILE = (
    "for {}",
    's := "x"; for { s += s }',
    'a := []; for { a = append(a, "0123456789" + len(a)) }',
    'json := import("json"); a := {}; a.a = a; json.encode(a)',
    'import("times").sleep(60000000000)',
)


def task(source: str, *, domain: str = "bench", deadline_ms: int = 5000) -> bytes:
    content = {
        "deadline": deadline_ms,
        "domain": domain,
        "language": "tengo",
        "program_uuid": str(uuid4()),
        "source_code": base64.b64encode(source.encode()).decode(),
    }
    return json.dumps(content).encode()


def task_request(port: int, credentials: str, content: bytes) -> bytes:
    return http_request("POST", "/v1/tasks", port, content, credentials, "application/json")


def _per_second(load: Load) -> Callable[[], Awaitable[float]]:
    async def measure() -> float:
        return (await run_load(load)).per_second

    return measure


async def cached_task(folder: Path, effort: Effort) -> Figures:
    content = task(TRIVIAL)
    async with (
        worker_alone(folder) as (worker, credentials),
        peer_go() as peer_port,
        bare_aiohttp() as aiohttp_port,
        bare_go() as go_port,
    ):
        ports = {
            "cached-task": worker.port,
            "cached-task-peer-go": peer_port,
            "bare-aiohttp": aiohttp_port,
            "bare-go": go_port,
        }
        measures = {
            name: _per_second(Load(port, [task_request(port, credentials, content)], seconds=effort.seconds))
            for name, port in ports.items()
        }
        await alternate(1, measures)
        found = await alternate(effort.rounds, measures)
    bare = found.pop("bare-go")
    return found | {
        "cached-task-ratio": ratios(found["cached-task"], found["cached-task-peer-go"]),
        "generator-headroom": headroom(bare, found.values()),
    }


async def waiting_task(folder: Path, effort: Effort) -> Figures:
    content = task(WAITS_50_MS, deadline_ms=60_000)
    async with worker_alone(folder) as (worker, credentials), peer_go() as peer_port:
        measures = {
            name: _per_second(
                Load(port, [task_request(port, credentials, content)], callers=64, seconds=max(1.0, effort.seconds))
            )
            for name, port in (("ours", worker.port), ("theirs", peer_port))
        }
        found = await alternate(effort.rounds, measures)
    return {"waiting-task-ratio": ratios(found["ours"], found["theirs"])}


async def fibonacci(_folder: Path, effort: Effort) -> Figures:
    async with engine.one_executor() as executor:
        found = await alternate(
            effort.rounds,
            {"ours": lambda: engine.fibonacci_us(executor), "raw": lambda: asyncio.to_thread(engine.raw_fibonacci_us)},
        )
    return {"fibonacci-ratio": ratios(found["raw"], found["ours"])}


async def pooled_run(_folder: Path, effort: Effort) -> Figures:
    async with engine.one_executor() as executor:
        return {"pooled-run": [await engine.pooled_run_us(executor) for _ in range(effort.rounds)]}


async def first_answer(folder: Path, effort: Effort) -> Figures:
    """New programs of a domain that has an executor, and programs of new domains."""
    programs, new_domains = [], []
    async with worker_alone(folder) as (worker, credentials):

        async def one_by_one(contents: list[bytes]) -> Answers:
            requests = [task_request(worker.port, credentials, each) for each in contents]
            return await run_load(Load(worker.port, requests, callers=1, seconds=60, once=True))

        await one_by_one([task(TRIVIAL)])
        for number in range(effort.rounds):
            sources = [_new_source(number * NEW_PROGRAMS + each) for each in range(NEW_PROGRAMS)]
            programs.append((await one_by_one([task(source) for source in sources])).p50_ms)
            domains = [f"new-{number}-{each}" for each in range(NEW_DOMAINS)]
            new_domains.append((await one_by_one([task(TRIVIAL, domain=domain) for domain in domains])).p50_ms)
    return {"first-answer": programs, "new-domain": new_domains}


def _new_source(number: int) -> str:
    """A small program like those of users, and like no other."""
    return (
        'json := import("json")\ntext := import("text")\n'
        f"number := {number}\n"
        "double := func(x) { return x * 2 }\n"
        "values := []\nfor i := 0; i < 5; i++ { values = append(values, double(i + number)) }\n"
        'if len(values) != 5 { values = text.split("a,b", ",") }\n'
        "out := json.encode({values: values})\n"
    )


async def neighbour(folder: Path, effort: Effort) -> Figures:
    """One caller of one domain, while nothing else goes on and while another domain runs hostile programs."""
    async with worker_alone(folder) as (worker, credentials):
        calm = Load(
            worker.port,
            [task_request(worker.port, credentials, task(TRIVIAL))],
            callers=1,
            seconds=max(1.0, effort.seconds),
            rate=CALM_RATE,
        )
        contents = [task(source, domain="hostile", deadline_ms=500) for source in HOSTILE]
        hostile = Load(
            worker.port,
            [task_request(worker.port, credentials, each) for each in contents],
            callers=HOSTILE_CALLERS,
            seconds=calm.seconds + 1.0,
        )

        async def alone() -> float:
            return (await run_load(calm)).p50_ms

        async def beside_hostile() -> float:
            async with asyncio.TaskGroup() as group:
                group.create_task(run_load(hostile, expect=()))
                await asyncio.sleep(0.5)
                return (await run_load(calm)).p50_ms

        await alone()
        found = await alternate(effort.rounds, {"alone": alone, "beside": beside_hostile})
    return {"neighbour-ratio": ratios(found["beside"], found["alone"])}

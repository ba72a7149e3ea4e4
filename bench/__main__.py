"""`make bench`: a table of what the daemons do on this machine, with medians and the spread of several rounds."""

import asyncio
import base64
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import aiohttp

from bench import counting, domains, engine
from bench.installation import (
    children,
    daemon,
    free_port,
    http_request,
    memory_mib,
    run_load,
    subscriber_desk,
)
from examples.demo_domain import make_demo_domain
from malgomaj.config import WorkerSettings
from malgomaj.egress import load_egress
from malgomaj.executor_options import executor_options
from shared.logging import configure_logging

ROUNDS = 5
SECONDS = 2.0
CONNECTIONS = 32
LOOPS = 8
GREET = "11111111-0000-4000-8000-000000000003"


def row(name: str, unit: str, values: Sequence[float]) -> None:
    print(
        f"{name:<64} {statistics.median(values):>9.2f} {unit:<6} ({min(values):.2f} to {max(values):.2f})", flush=True
    )


def task(source: bytes) -> bytes:
    content = {
        "deadline": 5000,
        "domain": "bench",
        "language": "tengo",
        "program_uuid": str(uuid4()),
        "source_code": base64.b64encode(source).decode(),
    }
    return json.dumps(content).encode()


async def measure_counting(_folder: Path) -> None:
    """What the figures of /metrics cost a run."""
    row("a run counted in malgomaj", "us", [counting.worker_us() for _ in range(ROUNDS)])
    row("a run counted in juvuln", "us", [counting.manager_us() for _ in range(ROUNDS)])


async def measure_engine(folder: Path) -> None:
    """An executor alone, and what the engine in it costs."""
    bare = engine.build_plain_go(folder)
    ratios = [engine.bare_fibonacci_us(bare) / engine.engine_fibonacci_us() for _ in range(ROUNDS)]
    row("fib(20) in the engine, times as fast as on Tengo's own machine", "x", ratios)
    settings = WorkerSettings()
    options = executor_options(settings, load_egress(settings.egress, {}), "bench")
    async with engine.one_executor(options) as (executor, _):
        row("an executor at rest: resident memory", "MiB", [memory_mib(executor.pid)])
        pooled = [await engine.pooled_run_us(executor) for _ in range(ROUNDS)]
        row("a pooled run: its overhead in the executor", "us", pooled)
        together = [await engine.waiting_together_ms(executor) for _ in range(ROUNDS)]
        row("64 runs of one program that wait 50 ms each, together", "ms", together)


async def measure_against_plain_go(folder: Path) -> None:
    """The same task to the worker and to a plain Go server, in turn."""
    bare = engine.build_plain_go(folder)
    port = free_port()
    content = task(b"x := 1")
    async with subscriber_desk() as (desk, told), engine.plain_go_server(bare) as plain_port:
        settings = {"PROGRAM_MANAGER__AUTHORITY": f"127.0.0.1:{desk}", "LOG__LEVEL": "warning"}
        async with daemon("malgomaj", folder, port, "/readyz", **settings):
            credentials = (await told).rpartition("@")[0]
            ours = http_request("POST", "/v1/tasks", port, content, credentials, "application/json")
            theirs = http_request("POST", "/v1/tasks", plain_port, content, "a:b", "application/json")
            figures: dict[str, list[float]] = {"ours": [], "theirs": [], "ratio": []}
            await run_load(port, CONNECTIONS, 0.5, ours)
            for _ in range(ROUNDS):
                pair = (
                    await run_load(port, CONNECTIONS, SECONDS, ours),
                    await run_load(plain_port, CONNECTIONS, SECONDS, theirs),
                )
                assert not any(each["failures"] for each in pair), "a task failed"
                figures["ours"].append(pair[0]["per_second"])
                figures["theirs"].append(pair[1]["per_second"])
                figures["ratio"].append(pair[0]["per_second"] / pair[1]["per_second"])
    row("a trivial cached task, plain Go with a new machine per run", "/s", figures["theirs"])
    row("a trivial cached task, malgomaj", "/s", figures["ours"])
    row("malgomaj, times as fast as plain Go", "x", figures["ratio"])


async def measure_first_call(folder: Path) -> None:
    """The first call of new domains: an executor is started for each."""
    port = free_port()
    async with subscriber_desk() as (desk, told), aiohttp.ClientSession() as session:
        settings = {"PROGRAM_MANAGER__AUTHORITY": f"127.0.0.1:{desk}", "LOG__LEVEL": "warning"}
        async with daemon("malgomaj", folder, port, "/readyz", **settings):
            user, _, password = (await told).rpartition("@")[0].partition(":")
            headers = {"Authorization": aiohttp.encode_basic_auth(user, password)}
            took = []
            for number in range(20):
                content = json.loads(task(b"x := 1")) | {"domain": f"new-{number}"}
                began = time.perf_counter()
                async with session.post(f"http://127.0.0.1:{port}/v1/tasks", json=content, headers=headers) as answer:
                    assert answer.status == 200
                took.append((time.perf_counter() - began) * 1000)
    row("the first call of a new domain, executor and compile included", "ms", took)


async def measure_neighbour(folder: Path) -> None:
    """One caller of one domain, while nothing else goes on and while another domain runs endless loops."""
    port = free_port()
    async with subscriber_desk() as (desk, told), aiohttp.ClientSession() as session:
        settings = {"PROGRAM_MANAGER__AUTHORITY": f"127.0.0.1:{desk}", "LOG__LEVEL": "warning"}
        async with daemon("malgomaj", folder, port, "/readyz", **settings):
            credentials = (await told).rpartition("@")[0]
            neighbour = http_request("POST", "/v1/tasks", port, task(b"x := 1"), credentials, "application/json")
            user, _, password = credentials.partition(":")
            headers = {"Authorization": aiohttp.encode_basic_auth(user, password)}
            loop = json.loads(task(b"for {}")) | {"domain": "hostile", "deadline": 500}

            async def loop_for_ever() -> None:
                while True:
                    async with session.post(f"http://127.0.0.1:{port}/v1/tasks", json=loop, headers=headers) as answer:
                        await answer.read()

            await run_load(port, 1, 0.2, neighbour)
            quiet = [await run_load(port, 1, SECONDS, neighbour) for _ in range(ROUNDS)]
            loops = [asyncio.create_task(loop_for_ever()) for _ in range(LOOPS)]
            beside = [await run_load(port, 1, SECONDS, neighbour) for _ in range(ROUNDS)]
            for each in loops:
                each.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
    for name, rounds in (("alone", quiet), (f"beside {LOOPS} endless loops of another domain", beside)):
        row(f"a task, 1 caller, {name}: median latency", "ms", [each["median_ms"] for each in rounds])
        row(f"a task, 1 caller, {name}: 99 % within", "ms", [each["p99_ms"] for each in rounds])


async def measure_worker(folder: Path) -> None:
    """The worker alone: tasks straight to it."""
    port = free_port()
    async with subscriber_desk() as (desk, told):
        settings = {"PROGRAM_MANAGER__AUTHORITY": f"127.0.0.1:{desk}", "LOG__LEVEL": "warning"}
        async with daemon("malgomaj", folder, port, "/readyz", **settings) as worker:
            credentials = (await told).rpartition("@")[0]
            for name, source, connections in (
                ("a trivial cached task, 32 callers", b"x := 1", CONNECTIONS),
                ("a trivial cached task, 1 caller", b"x := 1", 1),
                ("a task that sleeps 50 ms, 64 callers", b'import("times").sleep(50000000)', 64),
            ):
                request = http_request("POST", "/v1/tasks", port, task(source), credentials, "application/json")
                await run_load(port, connections, 0.5, request)
                rounds = [await run_load(port, connections, SECONDS, request) for _ in range(ROUNDS)]
                row(f"{name}: tasks per second", "/s", [each["per_second"] for each in rounds])
                row(f"{name}: median latency", "ms", [each["median_ms"] for each in rounds])
                assert not any(each["failures"] for each in rounds), "a task failed"
            row("malgomaj after that: resident memory", "MiB", [memory_mib(worker.pid)])
            row("an executor after that: resident memory", "MiB", [memory_mib(pid) for pid in children(worker.pid)])


async def measure_both(folder: Path) -> None:
    """Manager and worker on the demo domain: webhooks."""
    database = f"sqlite:///{folder}/demo.db"
    await make_demo_domain(database, "demo", None)
    (folder / "domains.yaml").write_text(f"domains: {{demo: '{database}'}}\n", encoding="utf-8")
    manager_port, worker_port = free_port(), free_port()
    manager_settings = {"DOMAINFILE": str(folder / "domains.yaml"), "LOG__LEVEL": "error"}
    worker_settings = {"PROGRAM_MANAGER__AUTHORITY": f"127.0.0.1:{manager_port}", "LOG__LEVEL": "error"}
    async with (
        daemon("juvuln", folder, manager_port, "/healthz", **manager_settings) as manager,
        daemon("malgomaj", folder, worker_port, "/readyz", **worker_settings) as worker,
    ):
        row("juvuln: from start to listening", "s", [manager.ready_seconds])
        row("malgomaj: from start to ready", "s", [worker.ready_seconds])
        path = f"/v2/programs/{GREET}/webhook"
        request = http_request("POST", path, manager_port, b'{"name":"Ada"}', "demo:root", "application/json")
        await run_load(manager_port, 1, 0.2, request)
        row("juvuln at rest: resident memory", "MiB", [memory_mib(manager.pid)])
        row("malgomaj at rest: resident memory", "MiB", [memory_mib(worker.pid)])
        row("an executor at rest: resident memory", "MiB", [memory_mib(pid) for pid in children(worker.pid)[:1]])
        for connections in (1, CONNECTIONS):
            await run_load(manager_port, connections, 0.5, request)
            rounds = [await run_load(manager_port, connections, SECONDS, request) for _ in range(ROUNDS)]
            row(f"a webhook, {connections} callers: calls per second", "/s", [each["per_second"] for each in rounds])
            row(f"a webhook, {connections} callers: median latency", "ms", [each["median_ms"] for each in rounds])
            row(f"a webhook, {connections} callers: 99 % within", "ms", [each["p99_ms"] for each in rounds])
            assert not any(each["failures"] for each in rounds), "a call failed"


async def measure_domains(folder: Path) -> None:
    """The manager alone, with many domains."""
    for kind, made, count in (
        ("SQLite", domains.sqlite_domains, 100),
        ("PostgreSQL", domains.postgresql_domains, 20),
    ):
        place = folder / kind
        place.mkdir()
        async with made(place, count) as (urls, uuid):
            figures = await domains.measure(place, urls, uuid)
        name = f"{count} domains of {domains.PROGRAMS} programs, {kind}"
        row(f"{name}: first load", "s", [figures.load_seconds])
        row(f"{name}: juvuln's memory", "MiB", [figures.memory_mib])
        row(f"{name}: a poll that finds nothing, CPU", "s", figures.poll_cpu_seconds)
        row(f"{name}: a scrape of /metrics", "ms", figures.scrape_ms)
        row(f"{name}: a change by the API", "ms", figures.change_ms)


async def main() -> None:
    configure_logging("bench", log_format="console", level="error")
    print(f"Medians of {ROUNDS} rounds of {SECONDS:g} s (least to most). The load generator shares the machine.\n")
    for measure in (
        measure_counting,
        measure_engine,
        measure_against_plain_go,
        measure_first_call,
        measure_neighbour,
        measure_worker,
        measure_both,
        measure_domains,
    ):
        with tempfile.TemporaryDirectory() as folder:
            await measure(Path(folder))


if __name__ == "__main__":
    asyncio.run(main())

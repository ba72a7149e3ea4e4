"""`make bench-growth`: figures over what grows: callers, workers, sources, programs, domains, bodies, the record.

``python -m bench.growth [--only NAME,NAME] [--quick]``. A whole run writes results/growth.json, and the plots of
docs/performance.md; any other only shows what it found.
"""

import argparse
import asyncio
import base64
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import record_growth, report
from bench.curves import Curve, Point, point, svg, to_json
from bench.engine import TRIVIAL
from bench.installation import both_daemons, children, memory_mb, worker_alone
from bench.load import Load, run_load
from bench.rounds import QUICK, Effort
from bench.tasks import task, task_request
from bench.tools import BENCH
from bench.webhooks import demo_domain, greet_request
from shared.logging import configure_logging

RESULTS = BENCH / "results" / "growth.json"
PLOTS = BENCH.parent / "docs" / "performance"
DOMAINS = 4
"""For many callers: one domain alone refuses more than it may have waiting."""
READS_BODY = 'cgi := import("cgi"); cgi.response.write(string(len(cgi.request.body())))'

Points = AsyncIterator[Point]


async def _rounds(load: Load, effort: Effort) -> Sequence[float]:
    await run_load(load)
    return [(await run_load(load)).per_second for _ in range(effort.rounds)]


async def callers(folder: Path, effort: Effort) -> Points:
    async with worker_alone(folder) as (worker, credentials):
        contents = [task(TRIVIAL, domain=f"d{number}") for number in range(DOMAINS)]
        requests = [task_request(worker.port, credentials, each) for each in contents]
        for count in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512):
            load = Load(worker.port, requests, callers=count, seconds=effort.seconds)
            yield point(count, await _rounds(load, effort))


async def workers(folder: Path, effort: Effort) -> Points:
    for count in (1, 2, 4):
        place = folder / str(count)
        place.mkdir()
        async with both_daemons(place, await demo_domain(place), workers=count) as (manager, _):
            load = Load(manager.port, [greet_request(manager.port)], callers=64, seconds=effort.seconds)
            yield point(count, await _rounds(load, effort))


async def sources(folder: Path, effort: Effort) -> Points:
    async with worker_alone(folder) as (worker, credentials):
        for size in (100, 1_000, 10_000, 100_000, 1_000_000):
            request = task_request(worker.port, credentials, task(f"{TRIVIAL} //".ljust(size, "x")))
            yield point(size, await _rounds(Load(worker.port, [request], seconds=effort.seconds), effort))


async def bodies(folder: Path, effort: Effort) -> Points:
    async with worker_alone(folder) as (worker, credentials):
        for size in (1, 1024, 16 * 1024, 128 * 1024, 1024 * 1024):
            http = {"headers": {}, "body": base64.b64encode(b"x" * size).decode()}
            content = json.dumps(json.loads(task(READS_BODY)) | {"http": http}).encode()
            load = Load(worker.port, [task_request(worker.port, credentials, content)], seconds=effort.seconds)
            yield point(size, await _rounds(load, effort))


async def programs(folder: Path, effort: Effort) -> Points:
    """In one domain; the worker keeps a thousand compiled."""
    async with worker_alone(folder) as (worker, credentials):
        for count in (1, 10, 100, 1_000, 4_000):
            contents = [task(f"x := {number}") for number in range(count)]
            requests = [task_request(worker.port, credentials, each) for each in contents]
            yield point(count, await _rounds(Load(worker.port, requests, seconds=effort.seconds), effort))


async def domains(folder: Path, effort: Effort) -> Points:
    """At most as many as a worker has executors."""
    async with worker_alone(folder) as (worker, credentials):
        for count in (1, 4, 16, 64):
            requests = await _one_task_each(worker.port, credentials, count)
            yield point(count, await _rounds(Load(worker.port, requests, seconds=effort.seconds), effort))


async def memory(folder: Path, _effort: Effort) -> Points:
    """Of the worker and all of its executors."""
    async with worker_alone(folder) as (worker, credentials):
        for count in (1, 4, 16, 64):
            await _one_task_each(worker.port, credentials, count)
            yield point(count, [sum(map(memory_mb, [worker.pid, *children(worker.pid)]))])


async def _one_task_each(port: int, credentials: str, domains: int) -> Sequence[bytes]:
    """Requests to so many domains, after each of them has had its executor started."""
    contents = [task(TRIVIAL, domain=f"d{number}") for number in range(domains)]
    requests = [task_request(port, credentials, each) for each in contents]
    await run_load(Load(port, requests, callers=1, seconds=120, once=True))
    return requests


@dataclass(frozen=True, slots=True)
class Growth:
    name: str
    title: str
    over: str
    unit: str
    measure: Callable[[Path, Effort], Points]


GROWTHS = (
    Growth("callers", "Cached trivial tasks of four domains", "callers", "/s", callers),
    Growth("workers", "Webhooks, 64 callers", "workers on this machine", "/s", workers),
    Growth("sources", "Cached tasks, 32 callers", "bytes of source", "/s", sources),
    Growth("bodies", "Tasks that read a body, 32 callers", "bytes of body", "/s", bodies),
    Growth("programs", "Trivial tasks in turn, 32 callers", "programs of one domain", "/s", programs),
    Growth("domains", "Trivial tasks in turn, 32 callers", "domains", "/s", domains),
    Growth("memory", "Memory of the worker and its executors", "domains with an executor", "MB", memory),
    Growth("record-insert", "To put 1,000 runs on record", "rows in the record (SQLite)", "ms", record_growth.insert),
    Growth("record-list", "To list the 20 newest runs of a program", "rows in the record", "ms", record_growth.newest),
    Growth("record-retention", "To drop the 1,000 oldest runs", "rows in the record", "ms", record_growth.retention),
)


async def measured(growths: Sequence[Growth], effort: Effort) -> Sequence[Curve]:
    curves = []
    for each in growths:
        points = []
        with tempfile.TemporaryDirectory() as folder:
            async for found in each.measure(Path(folder), effort):
                points.append(found)
                least, most = found.spread
                shown = f"{found.value:.4g} {each.unit} ({least:.4g} to {most:.4g})"
                print(f"{each.name:<18} {found.at:>10g}: {shown}", flush=True)
        curves.append(Curve(each.name, each.title, each.over, each.unit, points))
    return curves


def publish(curves: Sequence[Curve]) -> None:
    """Write the data, the plots, and the document's list of them."""
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(to_json(curves), encoding="utf-8")
    PLOTS.mkdir(exist_ok=True)
    for each in curves:
        (PLOTS / f"{each.name}.svg").write_text(svg(each), encoding="utf-8")
    images = "\n".join(f"![{each.title}, over {each.over}](performance/{each.name}.svg)\n" for each in curves)
    text = report.put(report.DOCUMENT.read_text(encoding="utf-8"), "growth", f"{report.machine()}\n\n{images}".rstrip())
    report.DOCUMENT.write_text(text, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description="Measure over what grows.")
    parser.add_argument("--only", default="", metavar="NAME,NAME", help="only these")
    parser.add_argument("--quick", action="store_true", help="short rounds, and the record to 100,000 rows only")
    options = parser.parse_args()
    configure_logging("bench", log_format="console", level="error")
    wanted = {name.strip() for name in options.only.split(",") if name.strip()}
    if unknown := sorted(wanted - {each.name for each in GROWTHS}):
        print(
            f"bench: {', '.join(unknown)}: no such name; there are {', '.join(e.name for e in GROWTHS)}",
            file=sys.stderr,
        )
        return 2
    growths = [each for each in GROWTHS if not wanted or each.name in wanted]
    curves = asyncio.run(measured(growths, QUICK if options.quick else Effort()))
    if options.quick or wanted:
        print("Part of the curves, or a quick run: bench/results stays as it is.")
    else:
        publish(curves)
    return 0


if __name__ == "__main__":
    sys.exit(main())

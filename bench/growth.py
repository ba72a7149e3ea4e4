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
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench import record_growth, report
from bench.curves import Curve, Point, point, to_json
from bench.engine import TRIVIAL
from bench.installation import both_daemons, children, memory_mb, worker_alone
from bench.load import Load, LoadError, run_load
from bench.rounds import QUICK, Effort
from bench.tasks import task, task_request
from bench.tools import BENCH
from bench.webhooks import demo_domain, greet_request
from shared.logging import configure_logging

RESULTS = BENCH / "results" / "growth.json"
DOMAINS = 4
"""For many callers: one domain alone refuses more than it may have waiting."""
ANSWERS = 10
"""What each caller gets in a round, at least about as many."""
READS_BODY = 'cgi := import("cgi"); cgi.response.write(string(len(cgi.request.body())))'

Points = AsyncIterator[Sequence[Point]]
"""One for each of the curves that are measured together."""


async def _rounds(load: Load, effort: Effort) -> Sequence[float]:
    first = await run_load(load)
    # Only what comes before the end counts, which would be nothing where an answer takes longer than a round.
    long = replace(load, seconds=max(load.seconds, first.p50_ms / 1000 * ANSWERS))
    return [(await run_load(long)).per_second for _ in range(effort.rounds)]


async def callers(folder: Path, effort: Effort) -> Points:
    async with worker_alone(folder) as (worker, credentials):
        contents = [task(TRIVIAL, domain=f"d{number}") for number in range(DOMAINS)]
        requests = [task_request(worker.port, credentials, each) for each in contents]
        for count in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512):
            load = Load(worker.port, requests, callers=count, seconds=effort.seconds)
            yield [point(count, await _rounds(load, effort))]


async def workers(folder: Path, effort: Effort) -> Points:
    for count in (1, 2, 4):
        place = folder / str(count)
        place.mkdir()
        async with both_daemons(place, await demo_domain(place), workers=count) as (manager, _):
            load = Load(manager.port, [greet_request(manager.port)], callers=64, seconds=effort.seconds)
            yield [point(count, await _rounds(load, effort))]


async def sources(folder: Path, effort: Effort) -> Points:
    async with worker_alone(folder) as (worker, credentials):
        for size in (100, 1_000, 10_000, 100_000, 1_000_000):
            request = task_request(worker.port, credentials, task(f"{TRIVIAL} //".ljust(size, "x")))
            yield [point(size, await _rounds(Load(worker.port, [request], seconds=effort.seconds), effort))]


async def bodies(folder: Path, effort: Effort) -> Points:
    async with worker_alone(folder) as (worker, credentials):
        for size in (1, 1024, 16 * 1024, 128 * 1024, 1024 * 1024):
            http = {"headers": {}, "body": base64.b64encode(b"x" * size).decode()}
            content = json.dumps(json.loads(task(READS_BODY)) | {"http": http}).encode()
            load = Load(worker.port, [task_request(worker.port, credentials, content)], seconds=effort.seconds)
            yield [point(size, await _rounds(load, effort))]


async def programs(folder: Path, effort: Effort) -> Points:
    """In one domain; the worker keeps a thousand compiled."""
    async with worker_alone(folder) as (worker, credentials):
        for count in (1, 10, 100, 1_000, 4_000):
            contents = [task(f"x := {number}") for number in range(count)]
            requests = [task_request(worker.port, credentials, each) for each in contents]
            yield [point(count, await _rounds(Load(worker.port, requests, seconds=effort.seconds), effort))]


async def domains(folder: Path, effort: Effort) -> Points:
    """At most as many as a worker has executors."""
    async with worker_alone(folder) as (worker, credentials):
        for count in (1, 4, 16, 64):
            requests = await _one_task_each(worker.port, credentials, count)
            yield [point(count, await _rounds(Load(worker.port, requests, seconds=effort.seconds), effort))]


async def memory(folder: Path, _effort: Effort) -> Points:
    """Of the worker and all of its executors."""
    async with worker_alone(folder) as (worker, credentials):
        for count in (1, 4, 16, 64):
            await _one_task_each(worker.port, credentials, count)
            yield [point(count, [sum(map(memory_mb, [worker.pid, *children(worker.pid)]))])]


async def _one_task_each(port: int, credentials: str, domains: int) -> Sequence[bytes]:
    """Requests to so many domains, after each of them has had its executor started."""
    contents = [task(TRIVIAL, domain=f"d{number}") for number in range(domains)]
    requests = [task_request(port, credentials, each) for each in contents]
    await run_load(Load(port, requests, callers=1, seconds=120, once=True))
    return requests


@dataclass(frozen=True, slots=True)
class Growth:
    """What gives these curves, which have no points yet."""

    curves: Sequence[Curve]
    measure: Callable[[Path, Effort], Points]


def _one(name: str, title: str, over: str, unit: str, measure: Callable[[Path, Effort], Points]) -> Growth:
    return Growth([Curve(name, title, over, unit, ())], measure)


def _record(database: str, measure: Callable[[Path, Effort], Points]) -> Growth:
    titles = {
        "insert": "To put 1,000 runs on record",
        "list": "To list the 20 newest runs of a program",
        "retention": "To drop the 1,000 oldest runs",
    }
    over = f"rows in the record ({database})"
    return Growth(
        [Curve(f"record-{database.lower()}-{name}", title, over, "ms", ()) for name, title in titles.items()], measure
    )


GROWTHS = (
    _one("callers", "Cached trivial tasks of four domains", "callers", "/s", callers),
    _one("workers", "Webhooks, 64 callers", "workers on this machine", "/s", workers),
    _one("sources", "Cached tasks, 32 callers", "bytes of source", "/s", sources),
    _one("bodies", "Tasks that read a body, 32 callers", "bytes of body", "/s", bodies),
    _one("programs", "Trivial tasks in turn, 32 callers", "programs of one domain", "/s", programs),
    _one("domains", "Trivial tasks in turn, 32 callers", "domains", "/s", domains),
    _one("memory", "Memory of the worker and its executors", "domains with an executor", "MB", memory),
    _record("SQLite", record_growth.sqlite),
    _record("PostgreSQL", record_growth.postgresql),
)
NAMES = [curve.name for growth in GROWTHS for curve in growth.curves]


def chosen(names: str) -> Sequence[Growth]:
    """What gives these curves, all of it for an empty text. ValueError for a name that is none."""
    wanted = {name.strip() for name in names.split(",") if name.strip()}
    if unknown := sorted(wanted - set(NAMES)):
        raise ValueError(f"{', '.join(unknown)}: no such name; there are {', '.join(NAMES)}")
    return [each for each in GROWTHS if not wanted or wanted & {curve.name for curve in each.curves}]


async def measured(growths: Sequence[Growth], effort: Effort) -> tuple[Sequence[Curve], Sequence[str]]:
    """The curves, and what could not be measured: one that fails stops no other."""
    curves: list[Curve] = []
    problems = []
    for each in growths:
        began, steps = time.perf_counter(), []
        try:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                async for points in each.measure(Path(folder), effort):
                    steps.append(points)
                    for curve, found in zip(each.curves, points, strict=True):
                        print(_line(curve, found), flush=True)
        except (LoadError, OSError, TimeoutError) as error:
            names = ", ".join(curve.name for curve in each.curves)
            problems.append(f"{names}, after {len(steps)} points: {type(error).__name__}: {error}")
        print(f"in {time.perf_counter() - began:.0f} s", flush=True)
        # Nothing of what had no point yet.
        curves += [replace(curve, points=of) for curve, of in zip(each.curves, zip(*steps, strict=True), strict=False)]
    return curves, problems


def _line(curve: Curve, found: Point) -> str:
    least, most = found.spread
    return f"{curve.name:<28} {found.at:>10g}: {found.value:.4g} {curve.unit} ({least:.4g} to {most:.4g})"


def publish(curves: Sequence[Curve]) -> None:
    """Write the data, the plots, and the document's list of them."""
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(to_json(curves), encoding="utf-8")
    report.fill("growth", f"{report.machine()}\n\n{report.draw(curves)}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description="Measure over what grows.")
    parser.add_argument("--only", default="", metavar="NAME,NAME", help="only these")
    parser.add_argument("--quick", action="store_true", help="short rounds, and the record to 100,000 rows only")
    options = parser.parse_args()
    configure_logging("bench", log_format="console", level="error")
    try:
        growths = chosen(options.only)
    except ValueError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    curves, problems = asyncio.run(measured(growths, QUICK if options.quick else Effort()))
    for problem in problems:
        print(f"bench: not measured: {problem}", file=sys.stderr)
    if options.quick or options.only:
        print("Part of the curves, or a quick run: bench/results stays as it is.")
    else:
        publish(curves)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

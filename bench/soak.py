"""`make soak MINUTES=30`: mixed load for a long time, and whether anything creeps up or is left behind.

Routines, webhooks at a fixed rate, uploads, programs that loop, crash and fill memory, and workers that are restarted
in turn, all at once. A run of half an hour or more writes results/soak.json and its plots; a shorter one only shows
what it found.
"""

import argparse
import asyncio
import math
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import yaml
from prometheus_client.parser import text_string_to_metric_families

from bench import report
from bench.curves import Curve, point, to_json
from bench.installation import Daemon, children, daemon, free_port, memory_mb, until_answers, worker_of
from bench.soak_load import CALM_WEBHOOK, Callers, SoakDomain, at_rate, make_domain, one_after_the_other
from bench.tools import BENCH
from shared.logging import configure_logging

RESULTS = BENCH / "results" / "soak.json"

DOMAINS = 4
WEBHOOKS_PER_SECOND = 50
UPLOADS_PER_SECOND = 1
HOSTILE_PER_SECOND = 2
WORKERS = 2
WORKER_CONNECTIONS = 2
"""That a worker has to the manager: for its signs of life, and for modules."""
SAMPLES = 180
LEAST_APART_SECONDS = 1.0
"""Samples of a short soak: the executors are asked for their goroutines no more often."""
POINTS = 12
"""Of a plot."""
MAX_DRIFT = 0.05
JUDGED_MINUTES = 10.0
"""In a shorter soak, caches and pools that fill would be taken for drift."""
RESTARTS = 4
LEAST_LIFE_SECONDS = 20.0
"""Of a worker."""
LONG_MINUTES = 30.0
REST_SECONDS = 15.0
"""How long what is under way when the load ends may take to end."""
UNITS = {"memory": "MB", "record": "MB", "domains": "MB", "ahead": "MB"}
GROWS = {"record": "grows with every run, for 30 days", "write-ahead": "fills, and is then written over"}
"""What is no drift."""
MAX_WRITE_AHEAD_MB = 8.0
"""Of a database, on average. That of a domain begins anew at 4 MB and that of the record at 16, unless a reader that
never ends keeps it from that."""

Samples = dict[str, list[tuple[float, float]]]
"""By what they are of, with their minute."""


@dataclass(slots=True)
class Installation:
    """What runs now."""

    manager: Daemon
    folder: Path
    workers: dict[int, Daemon] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Soaked:
    """What came of it."""

    minutes: float
    samples: Samples
    answered: Mapping[str, int]
    unanswered: Mapping[str, int]
    left: Mapping[str, float]
    """What was still there some time after the load had ended, and should not have been."""

    def problems(self) -> Sequence[str]:
        """In words; none if all is well."""
        judged = self.samples if self.minutes >= JUDGED_MINUTES else {}
        drifts = {name: drift(series) for name, series in judged.items() if name not in GROWS}
        write_ahead_mb = max((value for _, value in self.samples.get("write-ahead", ())), default=0.0)
        return [
            *(f"{name} drifts by {rise:+.1%}" for name, rise in drifts.items() if rise > MAX_DRIFT),
            *(f"{count:g} {what} left behind" for what, count in self.left.items()),
            *(f"{count} calls unanswered, {what}" for what, count in self.unanswered.items()),
            *(f"{count} calls answered otherwise than well, {what}" for what, count in self._spoiled().items()),
            *(["a write-ahead log is never emptied"] if write_ahead_mb > MAX_WRITE_AHEAD_MB * (DOMAINS + 1) else []),
        ]

    def _spoiled(self) -> Mapping[str, int]:
        """Webhooks of calm domains: neither hostile programs of another one nor the end of a worker may spoil them."""
        return {
            what: count
            for what, count in self.answered.items()
            if what.startswith(f"{CALM_WEBHOOK} ") and what != f"{CALM_WEBHOOK} 200"
        }


@asynccontextmanager
async def manager_of(folder: Path, domains: Sequence[SoakDomain]) -> AsyncIterator[Installation]:
    file = folder / "domains.yaml"
    file.write_text(yaml.safe_dump({"domains": {each.name: each.url for each in domains}}), encoding="utf-8")
    async with daemon("juvuln", folder, free_port(), "/healthz", DOMAINFILE=str(file)) as manager:
        yield Installation(manager, folder)


async def worker_with_restarts(
    installation: Installation, number: int, load_seconds: float, over: asyncio.Event
) -> None:
    """A worker that is ended and started anew a few times while there is load; others take what comes meanwhile."""
    place = installation.folder / f"worker-{number}"
    place.mkdir()
    began, life_seconds = time.monotonic(), max(load_seconds / RESTARTS, LEAST_LIFE_SECONDS)
    restarts = [began + life_seconds * (life + (number + 1) / WORKERS) for life in range(RESTARTS)]
    for ends in [*(each for each in restarts if each < began + load_seconds), math.inf]:
        async with worker_of(installation.manager.port, place, installation.folder) as worker:
            installation.workers[number] = worker
            await _wait(over, ends - time.monotonic())
            del installation.workers[number]
        if over.is_set():
            return


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Until it is set, or the time is over."""
    try:
        await asyncio.wait_for(event.wait(), None if math.isinf(seconds) else max(0.0, seconds))
    except TimeoutError:
        return


async def sampled(installation: Installation, session: aiohttp.ClientSession) -> Mapping[str, float]:
    """What the daemons take now; workers that are being restarted are left out of the means."""
    found = {f"manager-{name}": value for name, value in _of_process(installation.manager.pid).items()}
    # How many connections its callers keep open is their affair, and grows whenever the machine is slow for a moment.
    found["manager-descriptors"] -= (await figures(session, installation.manager))["juvuln_http_connections"]
    each = []
    for worker in list(installation.workers.values()):
        process = _of_process(worker.pid)
        try:
            goroutines = (await figures(session, worker))["malgomaj_executor_goroutines"]
        except aiohttp.ClientError:
            continue  # it ends just now
        each.append({**process, "executors": float(len(children(worker.pid))), "goroutines": goroutines})
    if each:
        found |= {f"worker-{name}": statistics.fmean(one[name] for one in each) for name in each[0]}
    return found | {
        "record": _content_mb(installation.folder.glob("juvuln.db")),
        "domains": _content_mb(installation.folder.glob("d*.db")),
        "write-ahead": sum(file.stat().st_size for file in installation.folder.glob("*.db-wal")) / 1e6,
    }


def _content_mb(databases: Iterable[Path]) -> float:
    """What is in databases, whichever of their files it is in: a write-ahead log fills and is emptied on its own."""
    size_bytes = 0
    for each in databases:
        with closing(sqlite3.connect(f"file:{each}?mode=ro", uri=True)) as database:
            ((pages,), (page_bytes,)) = (
                database.execute(f"PRAGMA {pragma}").fetchone() for pragma in ("page_count", "page_size")
            )
        size_bytes += pages * page_bytes
    return size_bytes / 1e6


def _of_process(pid: int) -> Mapping[str, float]:
    place = Path(f"/proc/{pid}")
    return {
        "memory": memory_mb(pid),
        "descriptors": float(sum(1 for _ in (place / "fd").iterdir())),
        "threads": float(sum(1 for _ in (place / "task").iterdir())),
    }


async def figures(session: aiohttp.ClientSession, of: Daemon) -> Mapping[str, float]:
    """What a daemon tells at /metrics, of figures without labels."""
    async with session.get(f"http://127.0.0.1:{of.port}/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
    return {each.name: each.value for family in families for each in family.samples if not each.labels}


async def sample(installation: Installation, seconds: float, samples: Samples) -> None:
    """Take samples, evenly."""
    began = time.monotonic()
    async with aiohttp.ClientSession() as session:
        while (now := time.monotonic()) < began + seconds:
            for name, value in (await sampled(installation, session)).items():
                samples[name].append(((now - began) / 60, value))
            await asyncio.sleep(max(LEAST_APART_SECONDS, seconds / SAMPLES))


async def left_behind(installation: Installation) -> Mapping[str, float]:
    """What is not gone in time. The routines go on, so there need only be a moment at which nothing is under way."""
    until = time.monotonic() + REST_SECONDS
    async with aiohttp.ClientSession() as session:
        while True:
            found = await _too_many(installation, session)
            if not found or time.monotonic() > until:
                return found
            await asyncio.sleep(0.1)


async def _too_many(installation: Installation, session: aiohttp.ClientSession) -> Mapping[str, float]:
    manager = await figures(session, installation.manager)
    workers = [await figures(session, worker) for worker in installation.workers.values()]
    found = {
        "runs": manager["juvuln_runs_under_way"] + manager["juvuln_runs_waiting"],
        "writes": manager["juvuln_record_waiting"],
        "tasks": sum(each["malgomaj_tasks_under_way"] for each in workers),
        "runs in executors": sum(each["malgomaj_executor_runs"] for each in workers),
        "connections of callers": max(0.0, manager["juvuln_http_connections"] - WORKERS * WORKER_CONNECTIONS - 1),
        "executors": sum(max(0.0, each["malgomaj_executors"] - DOMAINS) for each in workers),
    }
    return {what: count for what, count in found.items() if count}


def drift(series: Sequence[tuple[float, float]]) -> float:
    """By how much of its mean a straight line through the last two thirds rises from their beginning to their end."""
    late = series[len(series) // 3 :]
    times, values = [at for at, _ in late], [value for _, value in late]
    if len(set(times)) < 2 or not any(values):
        return 0.0
    return statistics.linear_regression(times, values).slope * (times[-1] - times[0]) / statistics.fmean(values)


async def soak(folder: Path, minutes: float) -> Soaked:
    """The whole run: so long the load lasts."""
    domains = [await make_domain(folder, f"d{number}") for number in range(DOMAINS)]
    samples: Samples = defaultdict(list)
    seconds, over = minutes * 60, asyncio.Event()
    async with manager_of(folder, domains) as installation:
        callers = Callers(installation.manager.port, domains)
        async with asyncio.TaskGroup() as workers:
            for number in range(WORKERS):
                workers.create_task(worker_with_restarts(installation, number, seconds, over))
            await until_answers(f"http://127.0.0.1:{installation.manager.port}/readyz")
            until = time.monotonic() + seconds
            async with asyncio.TaskGroup() as load:
                load.create_task(at_rate(WEBHOOKS_PER_SECOND, until, callers.webhooks))
                load.create_task(at_rate(HOSTILE_PER_SECOND, until, callers.hostile))
                load.create_task(one_after_the_other(UPLOADS_PER_SECOND, until, callers.uploads))
                load.create_task(sample(installation, seconds, samples))
            left = await left_behind(installation)
            over.set()
    return Soaked(minutes, samples, callers.answered, callers.unanswered, left)


def curve(name: str, series: Sequence[tuple[float, float]]) -> Curve:
    """The samples, gathered into a few points."""
    size = max(1, len(series) // POINTS)
    gathered = [series[first : first + size] for first in range(0, len(series), size)]
    points = [point(round(part[-1][0], 1), [value for _, value in part]) for part in gathered]
    return Curve(f"soak-{name}", name.replace("-", ", "), "minutes", UNITS.get(name.rpartition("-")[2], ""), points)


def show(found: Soaked) -> None:
    for what, count in sorted(found.answered.items()):
        print(f"{what:<34} {count}")
    for name, series in found.samples.items():
        note = GROWS.get(name, "")
        print(f"{name:<24} {series[-1][1]:>10.1f} {drift(series):>+8.1%}  {note}".rstrip())
    print(verdict(found))


def verdict(found: Soaked) -> str:
    fine = "nothing is left behind"
    fine += ", and nothing drifts" if found.minutes >= JUDGED_MINUTES else "; it was too short to judge what drifts"
    return f"Verdict: {'; '.join(found.problems()) or fine}."


def publish(found: Soaked) -> None:
    """Write the samples, their plots, and the document's verdict and list of them."""
    curves = [curve(name, series) for name, series in found.samples.items()]
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(to_json(curves), encoding="utf-8")
    lines = [f"{found.minutes:g} minutes, {report.machine()}", verdict(found), report.draw(curves)]
    report.fill("soak", "\n\n".join(lines))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description="Run a mixed load, and look for drift.")
    parser.add_argument("--minutes", type=float, default=LONG_MINUTES)
    minutes = parser.parse_args().minutes
    configure_logging("bench", log_format="console", level="error")
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(soak(Path(folder), minutes))
    show(found)
    if minutes >= LONG_MINUTES:
        publish(found)
    return 1 if found.problems() else 0


if __name__ == "__main__":
    sys.exit(main())

"""`make bench`: what the daemons do on this machine, beside what people would use instead.

``python -m bench [--rows NAME,NAME] [--quick]``. A whole run writes results/latest.json and the tables of
docs/performance.md; one of some rows, or a quick one, only shows what it found.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import footprint, report, routines, schedule, tasks, webhooks
from bench.load import LoadError
from bench.peers import has_node_red
from bench.rounds import QUICK, Effort, Figures
from bench.rows import TARGETS, Row, row
from shared.logging import configure_logging


@dataclass(frozen=True, slots=True)
class Measurement:
    """What gives these rows."""

    rows: Sequence[str]
    measure: Callable[[Path, Effort], Awaitable[Figures]]


IDLE = ("idle-cpu", "poll-cpu", "idle-memory", "load-domains", "scrape", "change")
MEASUREMENTS = (
    Measurement(
        ("cached-task-ratio", "cached-task", "cached-task-peer-go", "bare-aiohttp", "generator-headroom"),
        tasks.cached_task,
    ),
    Measurement(("waiting-task-ratio",), tasks.waiting_task),
    Measurement(("fibonacci-ratio",), tasks.fibonacci),
    Measurement(("pooled-run",), tasks.pooled_run),
    Measurement(("first-answer", "new-domain"), tasks.first_answer),
    Measurement(("neighbour-ratio",), tasks.neighbour),
    Measurement(("webhook-ratio", "webhook", "webhook-node-red", "generator-headroom-webhook"), webhooks.webhook),
    Measurement(
        ("webhook-added-p50", "webhook-added-p99", "webhook-p50", "webhook-p99", "generator-late"),
        webhooks.webhook_latency,
    ),
    Measurement(("start", "rest-memory", "rest-memory-once"), footprint.rest),
    Measurement(("lag-p99",), routines.lag),
    Measurement(("lag-p50-even", "lag-p99-even"), routines.even_lag),
    Measurement(("storm",), routines.storm),
    Measurement(("tick-claimed", "tick", "tick-claimed-postgresql", "tick-postgresql"), schedule.ticks),
    Measurement(("counted-worker", "counted-manager"), footprint.counting_runs),
    Measurement(IDLE, footprint.idle),
    Measurement([f"{name}-postgresql" for name in IDLE], footprint.idle_on_postgresql),
    Measurement(("notified",), footprint.notified),
    Measurement(("domain-file",), footprint.domain_file),
)


def chosen(names: str) -> Sequence[Measurement]:
    """The measurements that give these rows, all of them for an empty text. ValueError for a name that is none."""
    wanted = {name.strip() for name in names.split(",") if name.strip()}
    if unknown := sorted(wanted - TARGETS.keys()):
        raise ValueError(f"{', '.join(unknown)}: no such row; there are {', '.join(TARGETS)}")
    return [each for each in MEASUREMENTS if not wanted or wanted & set(each.rows)]


async def measured(measurements: Sequence[Measurement], effort: Effort) -> tuple[Sequence[Row], Sequence[str]]:
    """One measurement after the other, each row shown as it comes.

    Gives the rows in the order of the targets, and what could not be measured: one that fails stops no other.
    """
    rows: dict[str, Row] = {}
    problems = []
    for each in measurements:
        try:
            with tempfile.TemporaryDirectory() as folder:
                figures = await each.measure(Path(folder), effort)
        except (LoadError, OSError, TimeoutError) as error:
            problems.append(f"{', '.join(each.rows)}: {type(error).__name__}: {error}")
            continue
        for name, rounds in figures.items():
            rows[name] = row(name, rounds)
            print(report.line(rows[name]), flush=True)
    return [rows[name] for name in TARGETS if name in rows], problems


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the daemons on this machine.")
    parser.add_argument("--rows", default="", metavar="NAME,NAME", help="only what gives these rows")
    parser.add_argument("--quick", action="store_true", help="short rounds, and few: to see that it works")
    options = parser.parse_args()
    configure_logging("bench", log_format="console", level="error")
    try:
        measurements = chosen(options.rows)
    except ValueError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    if not has_node_red():
        print("Without Node-RED, which `make bench-peers` installs: its rows are left out.")
    rows, problems = asyncio.run(measured(measurements, QUICK if options.quick else Effort()))
    for problem in problems:
        print(f"bench: not measured: {problem}", file=sys.stderr)
    if options.quick or options.rows:
        print("Part of the rows, or a quick run: bench/results stays as it is.")
    else:
        report.publish(rows)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

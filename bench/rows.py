"""What is measured, what is asked of it, and how it came out."""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """A figure: what it must at least be, and what we aim at; both None for one that only informs.

    Where the aim is higher than what must be, more is better, else less.
    """

    name: str
    what: str
    unit: str
    must: float | None = None
    aim: float | None = None

    def reached(self, value: float, limit: float | None) -> bool | None:
        if limit is None or self.must is None or self.aim is None:
            return None
        return value >= limit if self.aim > self.must else value <= limit


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the results: the median of the rounds, and the least and the most of them."""

    name: str
    value: float
    unit: str
    must: float | None
    aim: float | None
    met: bool | None
    aimed: bool | None
    rounds: int
    spread: tuple[float, float]


TARGETS = {
    target.name: target
    for target in (
        Target("cached-task-ratio", "cached trivial task, 32 callers: tasks/s ÷ peer_go", "x", 1.0, 1.5),
        Target("waiting-task-ratio", "one program that waits 50 ms, 64 callers: tasks/s ÷ peer_go", "x", 30, 60),
        Target("fibonacci-ratio", "fib(20) in a task, without HTTP: speed ÷ a raw virtual machine", "x", 0.9, 0.97),
        Target("pooled-run", "what an executor spends on a run of a program that does nothing", "us", 5, 4),
        Target("first-answer", "a program never seen before: first answer, median", "ms", 2, 1),
        Target("webhook-ratio", "webhook through manager and worker, 32 callers: requests/s ÷ Node-RED", "x", 1.0, 2.0),
        Target("webhook-added-p50", "latency that manager and worker add to a webhook at 500/s, median", "ms", 2, 1),
        Target("webhook-added-p99", "latency that manager and worker add to a webhook at 500/s, p99", "ms", 10, 5),
        Target("storm", "10,000 routines due in one second: last start after the due time", "s", 1.0, 0.5),
        Target("lag-p99", "lag of routines at 1,000 due/s, p99", "ms", 50, 10),
        Target("idle-cpu", "100,000 programs in 100 domains, idle: processor, of one core", "%", 5, 1),
        Target("idle-memory", "100,000 programs in 100 domains, idle: memory of the manager", "MB", 500, 250),
        Target("poll-cpu", "a look at 100 domains of 1,000 programs that finds nothing: processor", "s", 1.0, 0.3),
        Target("load-domains", "until a manager that starts has read 100 domains of 1,000 programs", "s", 60, 20),
        Target("idle-cpu-postgresql", "the same in one PostgreSQL, idle: processor, of one core", "%", 5, 1),
        Target("idle-memory-postgresql", "the same, idle: memory of the manager", "MB", 500, 250),
        Target("poll-cpu-postgresql", "the same, a look that finds nothing: processor", "s", 1.0, 0.3),
        Target("load-domains-postgresql", "the same, until a manager that starts has read all", "s", 60, 20),
        Target("notified", "from a commit in PostgreSQL with the trigger until the manager goes by it", "s", 1.0, 0.2),
        Target("domain-file", "from a change of the file of domains until the manager goes by it", "s", 2.0, 1.0),
        Target("rest-memory", "memory of manager, worker and one executor at rest", "MB", 150, 100),
        Target("start", "from start to ready, both daemons", "s", 2, 1),
        Target("neighbour-ratio", "a neighbour of hostile programs: median latency ÷ without them", "x", 1.5, 1.1),
        Target("cached-task", "cached trivial task, 32 callers: malgomaj", "/s"),
        Target("cached-task-peer-go", "the same: peer_go", "/s"),
        Target("bare-aiohttp", "a bare endpoint of aiohttp and uvloop, 32 callers: the ceiling of the HTTP side", "/s"),
        Target("webhook", "webhook, 32 callers: manager and worker", "/s"),
        Target("webhook-node-red", "the same: Node-RED", "/s"),
        Target("webhook-p50", "a webhook at 500/s: median", "ms"),
        Target("webhook-p99", "a webhook at 500/s: p99", "ms"),
        Target("lag-p50-even", "lag at 1,000 due/s that `jitter_seconds: 1` spreads evenly: median", "ms"),
        Target("lag-p99-even", "the same: p99", "ms"),
        Target("rest-memory-once", "memory at rest, pages that the three share counted once", "MB"),
        Target("new-domain", "the first answer to a new domain, whose executor has to start: median", "ms"),
        Target("scrape", "a scrape of /metrics with as many", "ms"),
        Target("change", "to change a program with as many, until the change is in effect", "ms"),
        Target("scrape-postgresql", "a scrape of /metrics with as many in PostgreSQL", "ms"),
        Target("change-postgresql", "to change a program in one of them, until the change is in effect", "ms"),
        Target(
            "tick-claimed",
            "a due time of 10,000 at once, record in SQLite: the manager's processor to its claim",
            "us",
        ),
        Target("tick", "the same, until its ending is on record", "us"),
        Target("tick-claimed-postgresql", "the same with the record in PostgreSQL: to its claim", "us"),
        Target("tick-postgresql", "the same, until its ending is on record", "us"),
        Target("counted-worker", "what the figures of /metrics cost a run in the worker", "us"),
        Target("counted-manager", "the same in the manager", "us"),
        Target("generator-headroom", "the load generator against a bare Go server ÷ the fastest of the above", "x"),
        Target("generator-headroom-webhook", "the same with the requests of webhooks", "x"),
        Target("generator-late", "how late the load generator sends at 500/s, p99", "ms"),
    )
}


def row(name: str, rounds: Sequence[float]) -> Row:
    """Judge the rounds of a figure."""
    target, value = TARGETS[name], statistics.median(rounds)
    return Row(
        name=name,
        value=_short(value),
        unit=target.unit,
        must=target.must,
        aim=target.aim,
        met=target.reached(value, target.must),
        aimed=target.reached(value, target.aim),
        rounds=len(rounds),
        spread=(_short(min(rounds)), _short(max(rounds))),
    )


def ratios(ours: Iterable[float], theirs: Iterable[float]) -> Sequence[float]:
    """Round by round, as both were measured one after the other."""
    return [our / their for our, their in zip(ours, theirs, strict=True)]


def headroom(bare: Iterable[float], measured: Iterable[Sequence[float]]) -> Sequence[float]:
    """How far the load generator was from its own limit, round by round: its figure ÷ the fastest of the others."""
    return ratios(bare, (max(figures) for figures in zip(*measured, strict=True)))


def to_json(rows: Iterable[Row]) -> str:
    return "[\n" + ",\n".join("  " + json.dumps(asdict(each)) for each in rows) + "\n]\n"


def from_json(text: str) -> Sequence[Row]:
    return [Row(**each | {"spread": tuple(each["spread"])}) for each in json.loads(text)]


def _short(value: float) -> float:
    """Four digits are more than the spread allows to tell apart."""
    return float(f"{value:.4g}")

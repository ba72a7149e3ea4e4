"""Which faults a round has, and when: a pure function of its seed."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    KILL_MANAGER = "manager killed and started again"
    FREEZE_MANAGER = "manager frozen"
    RESTART_MANAGER = "manager stopped and started again"
    KILL_WORKER = "worker killed and started again"
    FREEZE_WORKER = "worker frozen"
    RESTART_WORKER = "worker stopped and started again"
    KILL_EXECUTORS = "executors of a worker killed"
    FREEZE_EXECUTORS = "executors of a worker frozen"
    CUT_WORKER = "connections to a worker cut"
    REFUSE_WORKER = "connections to a worker refused"
    DELAY_WORKER = "connections to a worker delayed"
    REFUSE_MANAGER = "connections to the manager refused"
    CLOCK_FORWARD = "clock set forward"
    CLOCK_BACK = "clock set back"
    FILL_DISK = "disk full"
    PAUSE_PROGRAMS = "programs paused"
    PAUSE_DOMAIN = "domain paused"
    KILL_DATABASE = "PostgreSQL killed and started again"
    RESTART_DATABASE = "PostgreSQL stopped and started again"
    CUT_DATABASE = "connections to PostgreSQL cut"
    REFUSE_DATABASE = "connections to PostgreSQL refused"
    DELAY_DATABASE = "connections to PostgreSQL delayed"


POSTGRESQL_ONLY = frozenset(kind for kind in FaultKind if kind.name.endswith("DATABASE"))


@dataclass(frozen=True, slots=True)
class Fault:
    at_seconds: float
    kind: FaultKind
    seconds: float
    """How long it lasts; for a clock, by how much it jumps."""
    worker: int
    """Which one it concerns, if it concerns one."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the faults of a round depend on. Times are seconds from its beginning."""

    seed: int
    database: str
    begin: float
    end: float
    pause: float
    """From one fault to the next, on average; each lasts a while, so that several may be at work."""
    workers: int


def fault_schedule(plan: Plan) -> Sequence[Fault]:
    """The faults in order. Each kind comes before any kind comes again."""
    return list(_faults(random.Random(plan.seed), plan))


def _faults(chance: random.Random, plan: Plan) -> Iterator[Fault]:
    at = plan.begin
    for kind in _endless_deck(chance, plan.database):
        if at >= plan.end:
            return
        yield Fault(at, kind, _duration(chance, kind, plan.pause), chance.randrange(plan.workers))
        at += plan.pause * chance.uniform(0.5, 1.5)


def _endless_deck(chance: random.Random, database: str) -> Iterator[FaultKind]:
    deck = [kind for kind in FaultKind if database == "postgresql" or kind not in POSTGRESQL_ONLY]
    while True:
        chance.shuffle(deck)
        yield from deck


def _duration(chance: random.Random, kind: FaultKind, pause: float) -> float:
    if kind is FaultKind.CLOCK_FORWARD:
        # Now and then far enough that the gap holds more due times than the manager counts one by one.
        return 150.0 if chance.random() < 0.1 else chance.uniform(1.0, 20.0)
    if kind is FaultKind.CLOCK_BACK:
        return chance.uniform(0.5, 3.0)
    if kind in (FaultKind.PAUSE_PROGRAMS, FaultKind.PAUSE_DOMAIN):
        return chance.uniform(4.0, 8.0)
    return chance.uniform(0.1, 2.0) * pause

"""What the worker tells Prometheus, made when it is asked for from what its parts know and have counted.

No label names a domain or a program: which there are is for the manager to know.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

from malgomaj.executors import Executors
from malgomaj.held import Held
from malgomaj.kept_sources import KeptSources
from malgomaj.meter import ExecutorEnd, Fetched, TaskMeter
from malgomaj.modules import Library
from malgomaj.plate import Plate
from malgomaj.turns import Turns
from shared.connections import ConnectionCount
from shared.health import Readiness
from shared.metrics import counter, counters, gauge, histogram, make_registry

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def registry_of(
    readiness: Readiness,
    meter: TaskMeter,
    held: Held,
    plate: Plate,
    turns: Turns,
    sources: KeptSources,
    connections: ConnectionCount,
    executors: Executors,
    library: Library,
) -> CollectorRegistry:
    """All figures of a worker with these parts."""
    tasks = TaskMetrics(meter, held, plate, turns, sources, connections)
    return make_registry("malgomaj", readiness, [tasks, ExecutorMetrics(executors), LibraryMetrics(library)])


class TaskMetrics(Collector):
    """What it is asked to run, and what comes of it."""

    def __init__(
        self,
        meter: TaskMeter,
        held: Held,
        plate: Plate,
        turns: Turns,
        sources: KeptSources,
        connections: ConnectionCount,
    ) -> None:
        self._meter = meter
        self._held = held
        self._plate = plate
        self._turns = turns
        self._sources = sources
        self._connections = connections

    def collect(self) -> Iterator[Metric]:
        meter = self._meter
        ended = [([outcome], number) for outcome, number in meter.ended.items()]
        yield counters("malgomaj_tasks", "Tasks that are over", ["outcome"], ended)
        yield histogram("malgomaj_task_seconds", "From the acceptance of a task to its end", meter.seconds)
        refused = [(["busy"], meter.refused_busy), (["draining"], meter.refused_draining)]
        yield counters("malgomaj_tasks_refused", "Tasks that were not taken (429, 503)", ["reason"], refused)
        yield gauge("malgomaj_tasks_held", "Tasks that came before their time, and have not begun", len(self._held))
        yield gauge("malgomaj_tasks_under_way", "Tasks that are not over yet", len(self._plate))
        yield gauge("malgomaj_tasks_waiting", "Of these, those that wait for their domain's turn", self._turns.waiting)
        yield gauge("malgomaj_load_seconds", "The sum of the deadlines of the tasks under way", self._plate.load / 1000)
        yield counter("malgomaj_cache_hits", "Runs whose program was there compiled", meter.cache_hits)
        yield counter("malgomaj_cache_misses", "Runs whose program had to be compiled", meter.cache_misses)
        yield gauge(
            "malgomaj_sources_bytes", "Source code kept, so that it need not be sent again", self._sources.kept_bytes
        )
        yield counter("malgomaj_sources_needed", "Tasks whose source code was asked for again", meter.sources_needed)
        yield gauge("malgomaj_http_connections", "Connections that are open", self._connections.open)


class ExecutorMetrics(Collector):
    """The executors, and what they hold."""

    def __init__(self, executors: Executors) -> None:
        self._executors = executors

    def collect(self) -> Iterator[Metric]:
        executors = self._executors
        yield gauge("malgomaj_executors", "Executor processes alive", len(executors))
        yield counter("malgomaj_executors_started", "Executors that got ready", executors.meter.started)
        ended = [([end], executors.meter.ended[end]) for end in ExecutorEnd]
        yield counters("malgomaj_executors_ended", "Executors that have ended, and why", ["reason"], ended)
        yield gauge("malgomaj_executor_runs", "Runs and compiles under way in executors", executors.runs)
        yield gauge("malgomaj_executor_goroutines", "Goroutines of all executors", executors.goroutines)
        yield gauge("malgomaj_domains_backing_off", "Domains slowed down for crashes", len(executors.backing_off()))
        memory = [resident_bytes(pid) for pid in executors.pids]
        yield gauge("malgomaj_executor_memory_bytes", "Resident memory of all executors", sum(memory))
        yield gauge("malgomaj_executor_memory_max_bytes", "That of the largest of them", max(memory, default=0))
        yield gauge("malgomaj_cache_programs", "Programs held compiled", executors.programs)
        yield gauge("malgomaj_cache_bytes", "About how much memory these take", executors.programs_bytes)
        yield histogram("malgomaj_compile_seconds", "How long compiles took", executors.meter.compile_seconds)


class LibraryMetrics(Collector):
    """How often the Library was asked for modules."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def collect(self) -> Iterator[Metric]:
        fetches = [([result], self._library.fetches[result]) for result in Fetched]
        yield counters("malgomaj_library_fetches", "Modules asked for, and what came of it", ["result"], fetches)


def resident_bytes(pid: int) -> int:
    """The resident memory of a process; 0 if it has gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * PAGE_BYTES
    except OSError:
        return 0

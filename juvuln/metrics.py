"""What the manager tells Prometheus, made when it is asked for from what its parts know and have counted.

Labels have few values: domains are those of the domain file, and a domain that goes takes its series with it. Programs
and workers are in no label; for those there are the record of runs and `juvuln status`.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import product

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from juvuln.api.services import Services
from juvuln.api.traffic import CALLS, Traffic
from juvuln.clock import Clock
from juvuln.domains.domains import Domains
from juvuln.live import LiveRuns
from juvuln.pauses import Pauses
from juvuln.runs.meter import Result, RunMeter
from juvuln.runs.record import RunRecord
from juvuln.runs.run import Trigger
from juvuln.scheduler import Scheduler
from juvuln.workers import WorkerRegistry, WorkerState
from shared.metrics import counter, counters, gauge, gauges, histogram, make_registry
from shared.wire import Outcome

STATUS_CLASSES = ("2xx", "3xx", "4xx", "5xx")


def registry_of(services: Services) -> CollectorRegistry:
    """All figures of a manager with these parts."""
    collectors = [
        DomainMetrics(services.domains, services.pauses, services.record.meter),
        RunMetrics(services.record, services.live, services.scheduler),
        WorkerMetrics(services.workers, services.clock, services.settings.worker.timeout),
        HttpMetrics(services.traffic),
    ]
    return make_registry("juvuln", services.readiness, collectors)


class DomainMetrics(Collector):
    """The domains, as they are when they are asked for."""

    def __init__(self, domains: Domains, pauses: Pauses, meter: RunMeter) -> None:
        self._domains = domains
        self._pauses = pauses
        self._meter = meter

    def collect(self) -> Iterator[Metric]:
        yield gauge(
            "juvuln_domain_file_ok",
            "1 if the domain file is followed as it is, 0 if it is bad and the last good one is kept",
            self._domains.file_fault is None,
        )
        up = _gauge("up", "1 if the domain's database answered when it was last asked, else 0")
        stale = _gauge("stale", "1 if what is known of the domain is too old for its programs to be started")
        paused = _gauge("paused", "1 if the domain is paused, by the configuration or by an operator")
        age = _gauge("age_seconds", "How long ago what is known of the domain was last seen to be so")
        listening = _gauge("listening", "1 if the domain's database tells of changes by itself, else 0")
        programs = _gauge("programs", "Active routines and webhooks with signed code")
        faults = _gauge("faulty_programs", "Programs that cannot run for a fault in their rows")
        errors = _counter("errors", "Errors of the domain's database, whoever used it")
        readings = _counter("readings", "Polls that found a change, and read the programs")
        unchanged = _counter("polls_unchanged", "Polls that found nothing changed")
        ended = CounterMetricFamily(
            "juvuln_domain_runs",
            "Runs that are over; failed: they ran and did not end well, not_run: they did not run or nobody knows",
            labels=["domain", "result"],
        )
        counted = self._meter.by_domain()
        for domain in self._domains.all():
            label = [domain.name]
            up.add_metric(label, domain.asked and not domain.away)
            stale.add_metric(label, domain.hindrance() is not None)
            paused.add_metric(label, self._pauses.of_domain(domain.name) is not None)
            listening.add_metric(label, domain.listening)
            if domain.reading is not None and domain.age_seconds is not None:
                age.add_metric(label, domain.age_seconds)
                programs.add_metric(label, len(domain.reading.programs))
                faults.add_metric(label, len(domain.reading.faults))
            errors.add_metric(label, domain.counts.errors)
            readings.add_metric(label, domain.counts.readings)
            unchanged.add_metric(label, domain.counts.unchanged)
            for result in Result:
                ended.add_metric([domain.name, result], counted[domain.name, result])
        yield from (up, stale, paused, age, listening, programs, faults, errors, readings, unchanged, ended)


class RunMetrics(Collector):
    """Due times and runs of all domains, and the record that they are in."""

    def __init__(self, record: RunRecord, live: LiveRuns, scheduler: Scheduler) -> None:
        self._record = record
        self._live = live
        self._scheduler = scheduler

    def collect(self) -> Iterator[Metric]:
        yield from self._schedule()
        yield from self._runs()
        yield from self._writes()

    def _schedule(self) -> Iterator[Metric]:
        meter = self._record.meter
        yield gauge("juvuln_routines", "Routines whose due times are followed", len(self._scheduler))
        yield counter("juvuln_due_times", "Due times put on record; those missed together are one", meter.due)
        yield gauge(
            "juvuln_schedule_behind_seconds",
            "How long ago the oldest due time came that is not on record yet",
            self._scheduler.behind_seconds(),
        )

    def _runs(self) -> Iterator[Metric]:
        meter = self._record.meter
        waiting = self._live.waiting
        yield gauge("juvuln_runs_waiting", "Runs that wait for a slot or a worker", waiting)
        yield gauge("juvuln_runs_early", "Runs claimed ahead, whose time has not come", self._live.early)
        yield gauge("juvuln_runs_under_way", "Runs that a worker has", self._live.under_way)
        yield gauge(
            "juvuln_runs_left_open", "Runs that managers left open that are gone, closed as lost", meter.left_open
        )
        started = [([trigger], meter.started[trigger]) for trigger in Trigger]
        yield counters("juvuln_runs_started", "Runs that a worker took, counted at their end", ["trigger"], started)
        counted = meter.by_outcome()
        ended = [(of, counted[of]) for of in product(Trigger, Outcome)]
        yield counters("juvuln_runs", "Runs that are over, as they are on record", ["trigger", "outcome"], ended)
        yield histogram("juvuln_run_lag_seconds", "From the due time of a run to its start", meter.lag_seconds)
        yield histogram("juvuln_run_duration_seconds", "How long a worker was busy with a run", meter.duration_seconds)

    def _writes(self) -> Iterator[Metric]:
        writes = self._record.writes
        yield gauge("juvuln_record_ok", "1 if it could be written when last tried, else 0", not self._record.failing)
        yield gauge("juvuln_record_waiting", "Claims and endings that wait to be written", self._record.waiting)
        yield histogram("juvuln_record_batch_rows", "Claims and endings written in one transaction", writes.rows)
        yield histogram("juvuln_record_write_seconds", "How long a transaction of the record took", writes.seconds)
        yield counter("juvuln_record_errors", "Transactions of the record that failed", writes.errors)


class WorkerMetrics(Collector):
    """The workers that are subscribed."""

    def __init__(self, workers: WorkerRegistry, clock: Clock, timeout_seconds: float) -> None:
        self._workers = workers
        self._clock = clock
        self._timeout_seconds = timeout_seconds

    def collect(self) -> Iterator[Metric]:
        workers = self._workers.all()
        now = self._clock.monotonic_seconds()
        states = Counter(worker.state(now, self._timeout_seconds) for worker in workers)
        by_state = [([state], states[state]) for state in WorkerState]
        yield gauges("juvuln_workers", "Workers that are subscribed; silent: not heard of lately", ["state"], by_state)
        load_seconds = sum(worker.load_ms for worker in workers) / 1000
        yield gauge("juvuln_worker_load_seconds", "Deadlines of what the workers have to do, summed up", load_seconds)


class HttpMetrics(Collector):
    """Who calls, and what the answers are."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic

    def collect(self) -> Iterator[Metric]:
        traffic = self._traffic
        answers = [(of, traffic.answers[of]) for of in product(CALLS, STATUS_CLASSES)]
        yield counters("juvuln_http_answers", "Answers, by class of call and of status", ["call", "status"], answers)
        yield histogram("juvuln_webhook_seconds", "From a webhook's call to its answer", traffic.webhook_seconds)
        yield gauge("juvuln_http_connections", "Connections that are open", traffic.connections.open)


def _gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"juvuln_domain_{name}", text, labels=["domain"])


def _counter(name: str, text: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"juvuln_domain_{name}", text, labels=["domain"])

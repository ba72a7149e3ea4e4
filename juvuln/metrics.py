"""What the manager tells Prometheus. Whoever has something to tell registers with the registry that is passed in."""

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from juvuln.domains.domains import Domains


class DomainMetrics(Collector):
    """The domains, as they are when they are asked for: those that go take their series with them."""

    def __init__(self, domains: Domains) -> None:
        self._domains = domains

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "juvuln_domain_file_ok",
            "1 if the domain file is followed as it is, 0 if it is bad and the last good one is kept",
            value=float(self._domains.file_fault is None),
        )
        up = _gauge("up", "1 if the domain's database answered when it was last asked, else 0")
        age = _gauge("age_seconds", "How long ago what is known of the domain was last seen to be so")
        listening = _gauge("listening", "1 if the domain's database tells of changes by itself, else 0")
        programs = _gauge("programs", "Active routines and webhooks with signed code")
        faults = _gauge("faulty_programs", "Programs that cannot run for a fault in their rows")
        errors = _counter("errors", "Errors of the domain's database, whoever used it")
        readings = _counter("readings", "Polls that found a change, and read the programs")
        unchanged = _counter("polls_unchanged", "Polls that found nothing changed")
        for domain in self._domains.all():
            label = [domain.name]
            up.add_metric(label, float(domain.asked and not domain.away))
            listening.add_metric(label, float(domain.listening))
            if domain.reading is not None and domain.age_seconds is not None:
                age.add_metric(label, domain.age_seconds)
                programs.add_metric(label, len(domain.reading.programs))
                faults.add_metric(label, len(domain.reading.faults))
            errors.add_metric(label, domain.counts.errors)
            readings.add_metric(label, domain.counts.readings)
            unchanged.add_metric(label, domain.counts.unchanged)
        yield from (up, age, listening, programs, faults, errors, readings, unchanged)


def _gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"juvuln_domain_{name}", text, labels=["domain"])


def _counter(name: str, text: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"juvuln_domain_{name}", text, labels=["domain"])

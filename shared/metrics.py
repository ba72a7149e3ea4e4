"""What both daemons tell Prometheus in the same way: figures of plain numbers.

The daemons count in plain numbers, and only who asks pays for making series of them. ``prometheus_client``'s own
counters take a lock at each step, which would be a good part of what a short run costs.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from shared import project_version
from shared.distribution import Distribution
from shared.health import Readiness

Values = Iterable[tuple[Sequence[str], float]]
"""Each with the values of its labels."""


def make_registry(daemon: str, readiness: Readiness, collectors: Collection[Collector]) -> CollectorRegistry:
    """The figures of a daemon, with those that every daemon has."""
    registry = CollectorRegistry()
    for collector in (ProcessCollector(registry=None), DaemonMetrics(daemon, readiness), *collectors):
        registry.register(collector)
    return registry


class DaemonMetrics(Collector):
    """Which version this is, and whether it can do its work."""

    def __init__(self, daemon: str, readiness: Readiness) -> None:
        self._daemon = daemon
        self._readiness = readiness

    def collect(self) -> Iterator[Metric]:
        build = GaugeMetricFamily(f"{self._daemon}_build_info", "1; the version is in the label", labels=["version"])
        build.add_metric([project_version()], 1)
        yield build
        ready = float(not self._readiness.problems())
        yield GaugeMetricFamily(f"{self._daemon}_ready", "1 if /readyz knows of no problem, else 0", value=ready)


def gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def gauges(name: str, text: str, labels: Sequence[str], values: Values) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for of, value in values:
        family.add_metric(of, value)
    return family


def counters(name: str, text: str, labels: Sequence[str], values: Values) -> Metric:
    """All that may come are best among ``values`` from the start, as 0: Prometheus sees no increase in what comes up
    as 1."""
    family = CounterMetricFamily(name, text, labels=labels)
    for of, value in values:
        family.add_metric(of, value)
    return family


def histogram(name: str, text: str, distribution: Distribution) -> Metric:
    ends = [*(f"{bound:g}" for bound in distribution.bounds), "+Inf"]
    buckets: list[tuple[str, float]] = list(zip(ends, distribution.up_to(), strict=True))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=distribution.total)

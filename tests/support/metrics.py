"""Reading what a daemon tells Prometheus."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from tests.support.installation import Installation


@dataclass(frozen=True, slots=True)
class Sample:
    name: str
    labels: Mapping[str, str]
    value: float


def parsed(text: str) -> Sequence[Sample]:
    return [
        Sample(sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


async def samples(installation: Installation, url: str | None = None) -> Sequence[Sample]:
    """The figures of the manager, or of the daemon at ``url``, as a stranger gets them."""
    reply = await installation.call("GET", "/metrics", token=None, url=url)
    assert reply.status == 200
    assert reply.headers["Content-Type"].startswith("text/plain; version=")
    return parsed(reply.body.decode())


async def figures(installation: Installation, domain: str | None = None) -> dict[str, float]:
    """The manager's figures by name: those of ``domain``, or those of none."""
    found = await samples(installation)
    return {sample.name: sample.value for sample in found if sample.labels.get("domain") == domain}


def total(found: Sequence[Sample], name: str, **labels: str) -> float:
    """The sum of the figures of this name and these labels, of which there must be some."""
    values = [sample.value for sample in found if sample.name == name and labels.items() <= sample.labels.items()]
    assert values, (name, labels)
    return sum(values)

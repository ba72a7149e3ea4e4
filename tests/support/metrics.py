"""Reading what a daemon tells Prometheus."""

from prometheus_client.parser import text_string_to_metric_families

from tests.support.installation import Installation


async def figures(installation: Installation, domain: str | None = None) -> dict[str, float]:
    """The manager's figures by name: those of ``domain``, or those of none."""
    reply = await installation.call("GET", "/metrics", token=None)
    assert reply.status == 200
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(reply.body.decode())
        for sample in family.samples
        if sample.labels.get("domain") == domain
    }

"""`juvuln program …` against a real manager: what people and scripts see of it."""

import pytest

from tests.support.installation import Domain, Installation
from tests.support.juvuln_command import JuvulnCommand

SILENT = "x := 1"


@pytest.fixture
async def juvuln(installation: Installation, domain: Domain) -> JuvulnCommand:
    """The command, with a manager to talk to as root of the domain `test`."""
    manager = installation.manager()
    await manager.start()
    return JuvulnCommand(
        installation.folder,
        {"SELFHOST_SERVER": manager.url, "SELFHOST_DOMAIN": "test", "SELFHOST_TOKEN": "root"},
    )


async def test_programs_are_listed_by_name(juvuln: JuvulnCommand, domain: Domain) -> None:
    beta, alpha = await domain.add("beta", SILENT), await domain.add("alpha", SILENT, state="inactive")
    heading, *rows = (await juvuln.good("program", "list")).text.splitlines()
    assert heading.split() == ["NAME", "TYPE", "STATE", "SCHEDULE", "DEADLINE", "TAGS", "UUID"]
    assert rows[0].split() == ["alpha", "webhook", "inactive", "-", "5000", "ms", "-", str(alpha)]
    assert rows[1].split() == ["beta", "webhook", "active", "-", "5000", "ms", "-", str(beta)]
    assert (await juvuln.good("program", "list", "-q")).text.split() == [str(alpha), str(beta)]
    assert [one["name"] for one in (await juvuln.good("program", "list", "--json")).json()] == ["alpha", "beta"]

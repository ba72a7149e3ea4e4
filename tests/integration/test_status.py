"""`juvuln status`, and the overview that it shows, on real daemons."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.support.commands import LIMIT_SECONDS, JuvulnCommand
from tests.support.databases import StoppableServer
from tests.support.installation import Domain, Installation
from tests.support.metrics import samples, total
from tests.support.waiting import free_port

EVERY_SECOND = "* * * * * *"


def secret(installation: Installation) -> str:
    return (installation.folder / "secret").read_text(encoding="utf-8").strip()


async def test_it_shows_domains_workers_what_is_due_and_what_failed(installation: Installation, domain: Domain) -> None:
    await domain.add("soon", "x := 1", kind="routine", schedule="@every 30m")
    bad = await domain.add("bad", "x := 1 / 0", kind="routine", schedule=EVERY_SECOND)
    manager, worker = await installation.start()
    await installation.until_runs(bad, 1)
    juvuln = JuvulnCommand(installation.folder, manager.environ)
    said = await juvuln.good("status")
    lines = [" ".join(line.split()) for line in said.text.splitlines()]
    assert lines[0].startswith("juvuln ")
    assert ": ready, up since " in lines[0]
    assert any(line.startswith("test 2 0 ") and line.endswith(" good") for line in lines)
    assert any(line.startswith(f"127.0.0.1:{worker.port} ready ") for line in lines)
    assert any(line.endswith(" test soon") for line in lines)
    assert any(line.endswith("test bad failed division by zero") for line in lines)
    overview = (await juvuln.good("status", "--json")).json()
    assert [one["program_name"] for one in overview["next"]] == ["bad", "soon"]
    assert overview["runs"]["failed"] >= 1
    assert overview["manager"]["name"] == "manager"
    assert secret(installation) not in said.text + said.err + json.dumps(overview)


@pytest.mark.usefixtures("domain")
async def test_its_status_says_whether_the_manager_is_well_or_there(installation: Installation) -> None:
    manager = installation.manager(SCHEDULE__PAUSED_DOMAINS='["test"]')
    await manager.start()
    juvuln = JuvulnCommand(installation.folder, manager.environ)
    said = await juvuln("status")
    assert said.status == 1
    assert "workers: no worker is subscribed" in said.text
    assert "domain test is paused by schedule.paused_domains" in said.text
    assert total(await samples(installation), "juvuln_domain_paused", domain="test") == 1
    assert (await juvuln("status", "--json")).json()["manager"]["ready"] is False
    await manager.stop()
    gone = await juvuln("status")
    assert (gone.status, gone.out) == (3, b"")
    assert "is juvuln running there?" in gone.err
    elsewhere = await juvuln("status", "--server", f"http://127.0.0.1:{free_port()}")
    assert elsewhere.status == 3


async def test_it_makes_no_secret_and_needs_the_right_one(managed: Installation, tmp_path: Path) -> None:
    (manager,) = managed.daemons
    elsewhere = tmp_path / "elsewhere"
    without = JuvulnCommand(tmp_path, dict(manager.environ) | {"JUVULN_STATE_DIR": str(elsewhere)})
    said = await without("status")
    assert said.status == 78
    assert "the secret" in said.err
    assert not elsewhere.exists()
    wrong = JuvulnCommand(tmp_path, dict(manager.environ) | {"JUVULN_SECRET": "a-secret-of-another-installation"})
    said = await wrong("status")
    assert said.status == 5
    assert "a-secret-of-another-installation" not in said.err


async def test_programs_of_all_domains_are_shown_to_nobody_without_the_secret(
    managed: Installation,
) -> None:
    await managed.domains["test"].add("private", "x := 1", kind="routine", schedule="@every 1h")
    for credentials in ({"token": None}, {"token": "root"}, {"bearer": "root"}):
        reply = await managed.call("GET", "/v1/overview", **credentials)
        assert reply.status == 401
        assert b"private" not in reply.body
    assert b"private" not in (await managed.call("GET", "/metrics", token=None)).body


async def test_a_record_that_cannot_be_read_hides_nothing_else(
    recorded_elsewhere: Installation, stoppable: StoppableServer
) -> None:
    installation = recorded_elsewhere
    installation.record_url = await stoppable.create()
    await installation.add_domain("test")
    await installation.manager().start()
    await stoppable.stop()
    overview = (await installation.call("GET", "/v1/overview", bearer=secret(installation))).json()
    assert overview["failures"] is None
    assert [domain["name"] for domain in overview["domains"]] == ["test"]


async def test_a_watch_goes_on_and_waits_for_a_manager_that_is_away(managed: Installation) -> None:
    (manager,) = managed.daemons
    juvuln = JuvulnCommand(managed.folder, manager.environ)
    async with juvuln.running("status", "--watch", "--json") as process, asyncio.timeout(LIMIT_SECONDS):
        assert process.stdout is not None and process.stderr is not None
        assert json.loads(await process.stdout.readline())["manager"]["version"]
        await manager.stop()
        assert b"is juvuln running there?" in await process.stderr.readline()
        await manager.start()
        assert json.loads(await process.stdout.readline())["manager"]["version"]

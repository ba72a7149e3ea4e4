"""When routines are due and what was decided about them, as operators see it."""

import itertools
from datetime import datetime, timedelta

from tests.support.commands import JuvulnCommand
from tests.support.installation import Domain, Installation, Json
from tests.support.waiting import until

EVERY_SECOND = "* * * * * *"


async def schedule_of(installation: Installation, uuid: object) -> Json:
    reply = await installation.call("GET", f"/v2/programs/{uuid}/schedule")
    assert reply.status == 200, reply.body
    return dict(reply.json())


async def test_the_next_due_times_and_the_policies_that_hold_are_told(
    installation: Installation, domain: Domain
) -> None:
    tags = ["overlap:queue", "retry:2", "retry-on:lost", "missed:often"]
    daily = await domain.add("daily", "x := 1", kind="routine", schedule="0 0 3 * * *", tags=tags)
    bad = await domain.add("bad", "x := 1", kind="routine", schedule="61 * * * * *", tags=["pause"])
    hook = await domain.add("hook", "x := 1")
    zones = '{"test": "Asia/Kolkata"}'
    await installation.manager(SCHEDULE__ZONES=zones, SCHEDULE__JITTER_SECONDS="2.5").start()

    async def known() -> Json | None:
        told = await schedule_of(installation, daily)
        return told if told["next"] else None

    told = await until(known, "the routine is followed")
    due = [datetime.fromisoformat(text) for text in told["next"]]
    assert [later - earlier for earlier, later in itertools.pairwise(due)] == [timedelta(days=1)] * 4
    assert [(instant.hour, instant.utcoffset()) for instant in due[:1]] == [(3, timedelta(hours=5, minutes=30))]
    assert (told["zone"], told["paused"], told["fault"]) == ("Asia/Kolkata", None, None)
    assert told["tag_faults"] == ["tag 'missed:often': 'often' is none of skip, once, all"]
    assert told["policy"] == {
        "overlap": "queue",
        "overlap_limit": 10,
        "missed": "skip",
        "missed_limit": 100,
        "retry": {"count": 2, "outcomes": ["lost"], "backoff_seconds": 5.0},
        "start_deadline_seconds": 30.0,
        "jitter_seconds": 2.5,
        "failures_limit": 0,
    }
    told = await schedule_of(installation, bad)
    assert (told["next"], told["fault"]) == ([], "second: 61 is not within 0 to 59")
    assert told["paused"] == "paused by the program's tag"
    assert (await schedule_of(installation, hook))["next"] == []

    command = JuvulnCommand(
        installation.folder,
        {
            "SELFHOST_SERVER": f"http://127.0.0.1:{installation.manager_port}",
            "SELFHOST_DOMAIN": "test",
            "SELFHOST_TOKEN": "root",
        },
    )
    shown = (await command("program", "show", "daily")).text
    assert "overlap queue, missed skip, retry 2 times when lost, after 5 s, starts within 30 s, jitter 2.5 s" in shown
    assert "missed:often" in shown


async def test_a_domain_is_paused_and_resumed_by_a_command(installation: Installation, domain: Domain) -> None:
    uuid = await domain.add("beat", "x := 1", kind="routine", schedule=EVERY_SECOND)
    manager, _ = await installation.start()
    command = JuvulnCommand(installation.folder, manager.environ)
    await installation.until_runs(uuid, 1)
    assert (await command("domain", "pause", "test")).text == "domain test: paused\n"
    assert (await command("domain", "pause", "test")).text == "domain test: is paused already\n"
    assert (await command("domain", "pause", "nowhere")).status == 1

    async def paused() -> bool:
        told: str | None = (await schedule_of(installation, uuid))["paused"]
        return told == "domain test is paused by an operator"

    await until(paused, "the manager has noticed")
    assert (await installation.call("POST", f"/v2/programs/{uuid}/run")).status == 503
    await manager.stop()
    await manager.start()
    assert await paused()
    assert (await command("domain", "resume", "test")).text == "domain test: resumed\n"
    assert (await command("domain", "resume", "test")).text == "domain test: is not paused\n"

    async def resumed() -> list[Json] | None:
        runs = await installation.runs(uuid)
        return [run for run in runs if "paused by an operator" in (run["reason"] or "")] or None

    # One record up to the manager's end, and one from its start on if anything was due since.
    skipped = await until(resumed, "the pause is on record")
    assert {run["outcome"] for run in skipped} == {"skipped"}
    assert len(skipped) <= 2

"""`juvuln program push`: a folder is made so in a domain, of a real manager on each kind of database."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import delete, insert, literal_column

from juvuln.commands.client import ApiClient
from juvuln.commands.transport import Server
from juvuln.database import transaction
from juvuln.deploy.carry_out import carry_out
from juvuln.deploy.domain import DomainError, DomainReader
from juvuln.deploy.folder import read_folder
from juvuln.deploy.matching import paired
from juvuln.deploy.plan import Step, make_plan
from juvuln.domains.create import ROOT_UUID
from juvuln.domains.tables import group_policies
from tests.support.commands import JUVULN, JuvulnCommand, Said
from tests.support.installation import Domain, Installation
from tests.support.standing import Guest
from tests.support.waiting import until

SILENT = "x := 1\n"
MODULE = "export {half: func(a) { return a / 2 }}\n"
MANIFEST = """\
programs:
  sums.tengo: {}   # a module, as it exports
  halve:
    type: webhook
    deadline: 2000
    tags: [maths, 2024]
"""
HALVE = 'sums := import("sums")\ncgi := import("cgi")\ncgi.response.write(string(sums.half(8)))\n'
TICK = '// Says tick.\n// schedule: "*/5 * * * * *"\n// state: inactive\nlog := import("log")\nlog.info("tick")\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Programs in both forms, one of them in a folder of its own."""
    made = tmp_path / "programs"
    (made / "clock").mkdir(parents=True)
    (made / "program.yaml").write_text(MANIFEST)
    (made / "sums.tengo").write_text(MODULE)
    (made / "halve.tengo").write_text(HALVE)
    (made / "clock" / "tick.tengo").write_text(TICK)
    return made


async def push(juvuln: JuvulnCommand, folder: Path, *options: str) -> Said:
    return await juvuln("program", "push", str(folder), *options)


async def plan(juvuln: JuvulnCommand, folder: Path, *options: str) -> dict[str, list[str]]:
    """The actions for each program, without carrying them out."""
    result = await juvuln.good("program", "push", str(folder), "--dry-run", "--json", *options)
    return {one["name"]: one["actions"] for one in result.json()["programs"]}


async def programs(installation: Installation) -> dict[str, Any]:
    reply = await installation.call("GET", "/v2/programs?limit=100")
    return {one.pop("name"): one for one in reply.json()}


async def test_a_folder_is_made_so_and_the_second_push_finds_nothing_to_do(
    juvuln: JuvulnCommand, guest: Guest, folder: Path
) -> None:
    done = await juvuln.good("program", "push", str(folder), "--yes", "--sign")
    assert "create" in done.text
    made = await programs(guest)
    assert made["sums"] | {"uuid": ""} == {
        "uuid": "",
        "type": "module",
        "state": "active",
        "schedule": "",
        "deadline": 1000,
        "language": "tengo",
        "tags": [],
    }
    assert (made["halve"]["type"], made["halve"]["deadline"], made["halve"]["tags"]) == (
        "webhook",
        2000,
        ["maths", "2024"],
    )
    assert (made["tick"]["type"], made["tick"]["state"], made["tick"]["schedule"]) == (
        "routine",
        "inactive",
        "*/5 * * * * *",
    )
    reply = await guest.call("POST", f"/v2/programs/{made['halve']['uuid']}/webhook", data=b"")
    assert (reply.status, reply.body) == (200, b"4")
    again = await juvuln.good("program", "push", str(folder), "--sign")
    assert "nothing to do" in again.text
    assert "not signed" not in again.text
    assert await programs(guest) == made


async def test_each_difference_is_planned_and_only_that_is_done(
    juvuln: JuvulnCommand, guest: Guest, folder: Path
) -> None:
    pushed = await juvuln.good("program", "push", str(folder), "--yes")
    assert "the newest code of 3 programs is not signed, and does not run" in pushed.text
    assert set(map(tuple, (await plan(juvuln, folder)).values())) == {("unchanged",)}
    assert set(map(tuple, (await plan(juvuln, folder, "--sign")).values())) == {("sign",)}
    (folder / "halve.tengo").write_text(HALVE + "// more\n")
    (folder / "clock" / "tick.tengo").write_text(TICK.replace("inactive", "active").replace("*/5", "*/7"))
    assert await plan(juvuln, folder) == {
        "halve": ["new revision"],
        "sums": ["unchanged"],
        "tick": ["reactivate", "change", "new revision"],
    }
    shown = (await juvuln.good("program", "push", str(folder), "--dry-run", "--diff")).text
    assert "schedule: */5 * * * * * → */7 * * * * *" in shown
    assert "+// more" in shown
    await juvuln.good("program", "push", str(folder), "--yes")
    made = await programs(guest)
    assert (made["tick"]["state"], made["tick"]["schedule"]) == ("active", "*/7 * * * * *")
    assert set(map(tuple, (await plan(juvuln, folder)).values())) == {("unchanged",)}


async def test_nothing_is_sent_if_anything_does_not_compile(juvuln: JuvulnCommand, guest: Guest, folder: Path) -> None:
    (folder / "sums.tengo").write_text("export {half: func(a) { return b / 2 }}\n")
    refused = await push(juvuln, folder, "--yes")
    assert refused.status == 1
    assert f"{folder}/sums.tengo:1:32: compile error: unresolved reference 'b'" in refused.err
    assert "return b / 2" in refused.err
    assert f"  imported at {folder}/halve.tengo:1:9" in refused.err
    assert await programs(guest) == {}


async def test_what_was_broken_before_is_no_reason_to_refuse_the_rest(
    juvuln: JuvulnCommand, domain: Domain, folder: Path
) -> None:
    await domain.add("broken", "x := \n", signed=False)
    (folder / "broken.tengo").write_text("x := \n")
    (folder / "program.yaml").write_text(MANIFEST + "  broken: {type: webhook, deadline: 5000}\n")
    done = await juvuln.good("program", "push", str(folder), "--yes")
    assert "broken.tengo:1" in done.err
    (folder / "program.yaml").write_text(MANIFEST + "  broken: {type: webhook, deadline: 4000}\n")
    assert (await push(juvuln, folder, "--yes")).status == 1


async def test_a_module_that_others_import_is_not_taken_from_them(juvuln: JuvulnCommand, folder: Path) -> None:
    await juvuln.good("program", "push", str(folder), "--yes", "--sign")
    (folder / "program.yaml").write_text(MANIFEST.replace("sums.tengo: {}", "sums.tengo: {state: inactive}"))
    refused = await push(juvuln, folder, "--yes")
    assert refused.status == 1
    assert f"{folder}/halve.tengo:1:9: compile error: there is no module 'sums'" in refused.err
    (folder / "program.yaml").write_text(MANIFEST.replace("  sums.tengo: {}", ""))
    (folder / "sums.tengo").unlink()
    await juvuln.good("program", "push", str(folder), "--yes")
    assert (await push(juvuln, folder, "--yes", "--prune")).status == 1


async def test_modules_come_from_the_folder_then_from_the_domain_as_signed(
    juvuln: JuvulnCommand, domain: Domain, folder: Path
) -> None:
    other = await domain.add("other", "export {a: 1}\n", kind="module")
    await domain.revise(other, "export {", signed=False)
    (folder / "uses.tengo").write_text('// type: webhook\na := import("other")\nb := import("other@0")\n')
    await juvuln.good("program", "push", str(folder), "--dry-run")
    (folder / "uses.tengo").write_text('// type: webhook\na := import("other@1")\n')
    refused = await push(juvuln, folder, "--dry-run")
    assert refused.status == 1
    assert f"{folder}/uses.tengo:2:6: compile error: there is no module 'other@1'" in refused.err


async def test_prune_deactivates_what_the_folder_has_not_and_deletes_nothing(
    juvuln: JuvulnCommand, guest: Guest, domain: Domain, folder: Path
) -> None:
    await domain.add("old", SILENT)
    await domain.add("older", SILENT, state="inactive")
    assert "old" not in await plan(juvuln, folder)
    assert (await plan(juvuln, folder, "--prune"))["old"] == ["deactivate"]
    await juvuln.good("program", "push", str(folder), "--prune", "--yes")
    made = await programs(guest)
    assert (made["old"]["state"], made["older"]["state"]) == ("inactive", "inactive")
    assert "old" not in await plan(juvuln, folder, "--prune")


async def test_prune_by_a_folder_without_programs_is_taken_for_a_mistake(
    juvuln: JuvulnCommand, guest: Guest, domain: Domain, tmp_path: Path
) -> None:
    await domain.add("old", SILENT)
    empty = tmp_path / "empty"
    empty.mkdir()
    refused = await juvuln("program", "push", str(empty), "--prune", "--yes")
    assert (refused.status, refused.out) == (2, b"")
    assert "holds no program: with --prune that would deactivate all" in refused.err
    assert (await programs(guest))["old"]["state"] == "active"


async def test_without_a_yes_the_plan_is_printed_and_nothing_done(
    juvuln: JuvulnCommand, guest: Guest, folder: Path
) -> None:
    result = await push(juvuln, folder)
    assert result.status == 2
    assert "create" in result.text
    assert "--yes" in result.err
    assert await programs(guest) == {}


@pytest.mark.parametrize(("answer", "status"), [(b"y\n", 0), (b"\n", 1)])
async def test_who_sits_at_a_terminal_is_asked(
    juvuln: JuvulnCommand, guest: Guest, folder: Path, answer: bytes, status: int
) -> None:
    ours, theirs = os.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            JUVULN,
            *("program", "push", folder),
            env={"PATH": os.environ["PATH"], "HOME": str(folder), **juvuln.variables},
            stdin=theirs,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        os.write(ours, answer)
        async with asyncio.timeout(30):
            _, told = await process.communicate()
    finally:
        os.close(ours)
        os.close(theirs)
    assert f"carry this out in {guest.own_domain} at {juvuln.variables['SELFHOST_SERVER']}? [y/N]" in told.decode()
    assert process.returncode == status
    assert len(await programs(guest)) == (0 if status else 3)


async def test_names_that_occur_twice_are_refused_unless_a_uuid_says_which_is_meant(
    juvuln: JuvulnCommand, domain: Domain, folder: Path
) -> None:
    first = await domain.add("sums", MODULE, kind="module", deadline_ms=1000)
    await domain.add("sums", MODULE, kind="module")
    refused = await push(juvuln, folder, "--yes")
    assert refused.status == 1
    assert f"{folder}/program.yaml:2: the domain has several programs called sums; say in program.yaml" in refused.err
    (folder / "program.yaml").write_text(MANIFEST.replace("sums.tengo: {}", f"sums.tengo: {{uuid: {first}}}"))
    assert (await plan(juvuln, folder))["sums"] == ["unchanged"]
    (folder / "program.yaml").write_text(MANIFEST.replace("sums.tengo: {}", f"sums.tengo: {{uuid: {uuid4()}}}"))
    refused = await push(juvuln, folder, "--yes")
    assert refused.status == 1
    assert f"{folder}/program.yaml:2: the domain has no program called sums with the uuid" in refused.err
    (folder / "program.yaml").write_text(MANIFEST)
    (folder / "clock" / "sums.tengo").write_text(MODULE)
    refused = await push(juvuln, folder, "--yes")
    assert f"{folder}/clock/sums.tengo:1: another program is called sums too" in refused.err


async def test_what_the_server_would_refuse_is_said_with_its_line_before_anything_is_sent(
    juvuln: JuvulnCommand, guest: Guest, folder: Path
) -> None:
    (folder / "clock" / "tick.tengo").write_text(TICK.replace("*/5", "*/0"))
    (folder / "program.yaml").write_text(MANIFEST.replace("2000", "70000").replace("2024", "overlap:x"))
    refused = await push(juvuln, folder, "--yes")
    assert refused.status == 1
    assert f"{folder}/clock/tick.tengo:2: schedule: second: the step in '*/0'" in refused.err
    assert f"{folder}/program.yaml:5: deadline: 70000 is not within 0 to 60000" in refused.err
    assert f"{folder}/program.yaml:6: tags: tag 'overlap:x': 'x' is none of skip, queue" in refused.err
    assert await programs(guest) == {}


async def test_a_push_that_fails_in_the_middle_says_how_far_it_came_and_the_next_completes_it(
    juvuln: JuvulnCommand, guest: Guest, domain: Domain, folder: Path
) -> None:
    halve = await domain.add("halve", SILENT)
    await policy(domain, "deny", "create", f"programs/{halve}/code")
    refused = await push(juvuln, folder, "--yes", "--sign")
    assert refused.status == 5
    assert refused.text.endswith("done: create sums\ndone: create tick\n")
    assert "not done, or in part: halve; push again completes it" in refused.err
    await policy(domain, None, "create", f"programs/{halve}/code")

    async def allowed() -> bool:
        return (await push(juvuln, folder, "--yes", "--sign")).status == 0

    await until(allowed, "the policy is gone")
    assert "nothing to do" in (await juvuln.good("program", "push", str(folder), "--sign")).text


async def policy(domain: Domain, effect: str | None, action: str, resource: str) -> None:
    """Add a policy for root's group; without an effect take it away."""
    where = group_policies.c.resource == resource
    async with transaction(domain.store._engine, "the test's domain") as connection:
        if effect is None:
            await connection.execute(delete(group_policies).where(where))
        else:
            await connection.execute(
                insert(group_policies).values(
                    uuid=uuid4(),
                    group_uuid=ROOT_UUID,
                    priority=0,
                    effect=literal_column(f"'{effect}'"),
                    action=literal_column(f"'{action}'"),
                    resource=resource,
                )
            )


@pytest.fixture
def client(juvuln: JuvulnCommand) -> Iterator[ApiClient]:
    """What the command talks to the manager with."""
    made = ApiClient(Server.parse(juvuln.variables["SELFHOST_SERVER"]), juvuln.variables["SELFHOST_DOMAIN"], "root")
    yield made
    made.close()


async def test_what_somebody_changed_since_the_plan_is_left_alone(
    client: ApiClient, guest: Guest, domain: Domain, folder: Path
) -> None:
    halve = await domain.add("halve", SILENT)

    def steps() -> Sequence[Step]:
        reader = DomainReader(client)
        found = [reader.with_newest(one) for one in reader.programs()]
        plan = make_plan(paired(read_folder(folder), found), sign=False)
        return [step for step in plan.work if step.name == "halve"]

    for method, path, content in (("PUT", "", b'{"deadline": 7}'), ("POST", "/code", b"x := 3\n")):
        planned = await asyncio.to_thread(steps)
        await guest.call(method, f"/v2/programs/{halve}{path}", data=content)
        before = await programs(guest)
        with pytest.raises(DomainError, match="somebody has just changed halve"):
            await asyncio.to_thread(list, carry_out(client, planned))
        assert await programs(guest) == before
    planned = await asyncio.to_thread(steps)
    assert len(await asyncio.to_thread(list, carry_out(client, planned))) == 1


async def test_what_somebody_created_since_the_plan_is_not_created_again(
    client: ApiClient, guest: Guest, domain: Domain, folder: Path
) -> None:
    plan = make_plan(paired(read_folder(folder), []), sign=False)
    await domain.add("sums", MODULE, kind="module")
    with pytest.raises(DomainError, match="somebody has just created sums"):
        await asyncio.to_thread(list, carry_out(client, plan.work))
    assert set(await programs(guest)) == {"sums"}

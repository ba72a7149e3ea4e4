"""`juvuln program pull`: a domain is written into a folder, and a push of it changes nothing."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from juvuln.domains.create import ROOT_UUID
from juvuln.domains.store import Specification
from tests.support.commands import JuvulnCommand
from tests.support.installation import Domain, Installation
from tests.support.standing import Guest

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOSTILE = [
    ("../../escape", "webhook", "active", b"x := 1"),
    ("a/b", "webhook", "inactive", b"x := 1\r\ny := 2\r\n"),
    ("Case", "routine", "active", b"x := 1\n"),
    ("case", "routine", "failed", b"\xff\xfe\x00 this is no Tengo"),
    ("väder i dag", "module", "active", b"export {a: 1}\n"),
    ("tab\tand\x1b[31mred", "webhook", "active", b"// type: module\n// typo: yes\nx := 1"),
    ("not a program.tengo", "module", "inactive", b"export {\n"),
    ("\u202egnp.exe", "webhook", "active", b"x := `\n`\n"),
]


async def add_hostile(domain: Domain) -> None:
    for number, (name, kind, state, code) in enumerate(HOSTILE):
        schedule = "TZ=Europe/Stockholm 0 45 23 * * 6" if kind == "routine" else ""
        tags = ("a, b", "[c]", 'd"') if number % 2 else ()
        uuid = uuid4()
        specification = Specification(uuid, name, kind, state, schedule, 5000 + number, "tengo", tags)
        await domain.store.create_program(specification, [ROOT_UUID], uuid4)
        await domain.store.add_revision(uuid, code, ROOT_UUID, NOW)
    await domain.store.create_program(
        Specification(uuid4(), "no code", "webhook", "active", "", 0, "tengo", ()), [ROOT_UUID], uuid4
    )


async def everything(installation: Installation) -> list[Any]:
    """All programs of the domain, each with its revisions."""
    programs = (await installation.call("GET", "/v2/programs?limit=100")).json()
    return [(one, (await installation.call("GET", f"/v2/programs/{one['uuid']}/revisions")).json()) for one in programs]


async def test_pull_then_push_changes_nothing_whatever_the_programs_are_called_and_hold(
    juvuln: JuvulnCommand, guest: Guest, domain: Domain, tmp_path: Path
) -> None:
    await add_hostile(domain)
    before = await everything(guest)
    folder = tmp_path / "deep" / "pulled"
    await juvuln.good("program", "pull", str(folder))
    assert sorted(path.name for path in folder.parent.iterdir()) == ["pulled"]
    assert {path.read_bytes() for path in folder.glob("*.tengo")} == {code for *_, code in HOSTILE}
    pushed = await juvuln.good("program", "push", str(folder), "--yes", "--prune")
    assert "nothing to do" in pushed.text
    assert "\x1b" not in pushed.text + pushed.err
    assert await everything(guest) == before
    again = await juvuln.good("program", "pull", str(folder))
    assert "0 of 9 programs written" in again.text


async def test_what_differs_in_the_folder_is_overwritten_only_by_force(
    juvuln: JuvulnCommand, domain: Domain, tmp_path: Path
) -> None:
    uuid = await domain.add("hook", "x := 1\n")
    folder = tmp_path / "pulled"
    await juvuln.good("program", "pull", str(folder))
    await domain.revise(uuid, "x := 2\n", signed=False)
    (folder / "hook.tengo").write_text("x := 3\n")
    refused = await juvuln("program", "pull", str(folder))
    assert refused.status == 1
    assert f"{folder}/hook.tengo: differs from hook in the domain" in refused.err
    assert (folder / "hook.tengo").read_text() == "x := 3\n"
    await juvuln.good("program", "pull", str(folder), "--force")
    assert (folder / "hook.tengo").read_text() == "x := 2\n"
    await juvuln.good("program", "pull", str(folder), "--force", "--signed")
    assert (folder / "hook.tengo").read_text() == "x := 1\n"


async def test_only_the_named_programs_are_pulled(juvuln: JuvulnCommand, domain: Domain, tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        await domain.add(name, f"{name} := 1\n")
    three = await domain.add("other three", "x := 1\n")
    said = await juvuln.good("program", "pull", str(tmp_path / "d"), "one", str(three), "--json")
    assert [(one["name"], one["writing"]) for one in json.loads(said.text)] == [("one", "new"), ("other three", "new")]
    assert (await juvuln("program", "pull", str(tmp_path / "d"), "four")).status == 4


async def test_programs_of_one_name_are_told_apart_by_their_uuids_and_a_push_changes_nothing(
    juvuln: JuvulnCommand, guest: Guest, domain: Domain, tmp_path: Path
) -> None:
    twins = [await domain.add("twin", f"export {{a: {number}}}\n", kind="module") for number in range(3)]
    await domain.revise(twins[1], "export {b: 1}\n")  # the highest revision, which is the one that is imported
    await domain.add("importer", 'x := import("twin").b\n')
    before = await everything(guest)
    folder = tmp_path / "pulled"
    await juvuln.good("program", "pull", str(folder), str(twins[0]))
    assert [path.name for path in folder.glob("*.tengo")] == ["twin.tengo"]
    assert "nothing to do" in (await juvuln.good("program", "push", str(folder))).text
    await juvuln.good("program", "pull", str(folder))
    assert "0 of 4 programs written" in (await juvuln.good("program", "pull", str(folder))).text
    pushed = await juvuln.good("program", "push", str(folder), "--yes", "--prune")
    assert ("nothing to do" in pushed.text, pushed.err) == (True, "")
    assert await everything(guest) == before


async def test_a_file_that_may_be_either_of_two_programs_is_not_written_over(
    juvuln: JuvulnCommand, domain: Domain, tmp_path: Path
) -> None:
    await domain.add("twin", "x := 1\n")
    await juvuln.good("program", "pull", str(tmp_path / "d"))
    await domain.add("twin", "x := 2\n")
    refused = await juvuln("program", "pull", str(tmp_path / "d"), "--force")
    assert refused.status == 1
    assert (
        f"{tmp_path}/d/program.yaml:2: the domain has several programs called twin; say in program.yaml" in refused.err
    )

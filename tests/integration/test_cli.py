"""`juvuln program …` against a real manager: what people and scripts see of it."""

from uuid import uuid4

import pytest

from juvuln.domains.store import Specification
from tests.support.installation import Domain, Installation
from tests.support.juvuln_command import JuvulnCommand

SILENT = "x := 1"


def specification(name: str) -> Specification:
    return Specification(uuid4(), name, "module", "active", "", 0, "tengo", ())


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


async def test_a_program_is_created_with_code_and_signature_and_then_shown(juvuln: JuvulnCommand) -> None:
    (juvuln.folder / "tick.tengo").write_text('fmt := import("fmt")\n')
    created = await juvuln.good(
        "program", "create", "tick", "tick.tengo", "--schedule", "0 0 6 * * *", "--tag", "b", "--tag", "a", "--sign"
    )
    uuid = created.text.split()[1]
    assert created.text == f"created {uuid}\nsigned revision 0\n"
    shown = (await juvuln.good("program", "show", "tick")).text
    assert f"uuid      {uuid}\ntype      routine\nstate     active\nschedule  0 0 6 * * *\n" in shown
    assert "at 06:00" in shown
    assert "06:00:00 UTC" in shown
    assert "nothing has run yet" in shown
    told = (await juvuln.good("program", "show", uuid, "--json")).json()
    assert (told["deadline"], told["tags"], len(told["revisions"]), len(told["next"])) == (1000, ["b", "a"], 1, 3)
    assert (await juvuln.good("program", "show", "tick", "--quiet")).text == f"{uuid}\n"


async def test_code_is_uploaded_compared_signed_and_printed_to_the_byte(juvuln: JuvulnCommand) -> None:
    (juvuln.folder / "one.tengo").write_bytes(b"a := 1\r\n")
    await juvuln.good("program", "create", "mod", "one.tengo", "--type", "module", "--sign")
    await juvuln.good("program", "upload", "mod", "-", stdin=b"a := 2")
    assert (await juvuln.good("program", "code", "mod")).out == b"a := 1\r\n"
    assert (await juvuln.good("program", "code", "mod", "1")).out == b"a := 2"
    difference = (await juvuln.good("program", "diff", "mod")).text
    assert "-a := 1" in difference
    assert "+a := 2" in difference
    assert (await juvuln.good("program", "diff", "mod", "1", "1")).out == b""
    assert (await juvuln.good("program", "sign", "mod")).text == "signed revision 1 of mod\n"
    assert (await juvuln.good("program", "code", "mod")).out == b"a := 2"


async def test_what_does_not_compile_is_not_signed_and_its_place_is_shown(juvuln: JuvulnCommand) -> None:
    said = await juvuln("program", "create", "bad", "-", "--type", "webhook", "--sign", stdin=b"x := 1\ny := x +* 2\n")
    assert said.status == 1
    assert "bad:2:9: compile error: " in said.err
    assert "    y := x +* 2\n            ^\n" in said.err
    assert said.err.endswith("juvuln: revision 0 of bad does not compile, and is not signed\n")
    assert (await juvuln("program", "code", "bad")).status == 4
    # Where the source is not at hand it is fetched for the message.
    again = await juvuln("program", "sign", "bad")
    assert (again.status, again.err) == (1, said.err)
    assert (await juvuln.good("program", "sign", "bad", "--force")).text == "signed revision 0 of bad\n"


async def test_a_program_is_deactivated_and_activated(juvuln: JuvulnCommand, domain: Domain) -> None:
    uuid = await domain.add("light", SILENT)
    assert (await juvuln.good("program", "deactivate", "light")).text == "light is inactive\n"
    assert (await domain.store.specification(uuid)).state == "inactive"
    assert (await juvuln.good("program", "activate", str(uuid))).text == "light is active\n"
    assert (await domain.store.specification(uuid)).state == "active"


async def test_a_program_is_deleted_only_after_a_yes(juvuln: JuvulnCommand, domain: Domain) -> None:
    await domain.add("old", SILENT)
    said = await juvuln("program", "delete", "old")
    assert said.status == 2
    assert "nobody can be asked here" in said.err
    assert (await juvuln.good("program", "delete", "old", "--yes")).text == "deleted old\n"
    assert (await juvuln("program", "show", "old")).status == 4


async def test_an_ambiguous_name_lists_its_candidates(juvuln: JuvulnCommand, domain: Domain) -> None:
    uuids = [str(await domain.add("twin", SILENT)), str(await domain.add("twin", SILENT, state="inactive"))]
    said = await juvuln("program", "deactivate", "twin")
    assert said.status == 2
    assert "2 programs are called twin; give the uuid:" in said.err
    assert all(uuid in said.err for uuid in uuids)
    assert (await juvuln.good("program", "show", uuids[0], "-q")).text.strip() == uuids[0]


FAILURES: list[tuple[list[str], dict[str, str], int, str]] = [
    (["show", "nothing"], {}, 4, "there is no program called nothing in test"),
    (["show", "00000000-0000-4000-8000-000000000000"], {}, 4, "has no program 00000000"),
    (["list"], {"SELFHOST_TOKEN": "wrong-Token"}, 5, "there is no such domain, or the token is not one of it"),
    (["list"], {"SELFHOST_DOMAIN": ""}, 2, "no domain is known"),
    (["list"], {"SELFHOST_SERVER": "http://127.0.0.1:1"}, 3, "cannot be reached (Connection refused)"),
    (["list"], {"SELFHOST_SERVER": "http://u:secret@127.0.0.1:1"}, 2, "must not hold credentials"),
    (["list"], {"SELFHOST_SERVER": "ftp://127.0.0.1"}, 2, "begins with http:// or https://"),
    (["list", "--nonsense"], {}, 2, "No such option"),
    (["create", "x", "--type", "robot"], {}, 1, "type"),
    (["create", "x", "--schedule", "never"], {}, 1, "schedule"),
    (["create", "x"], {}, 2, "say --type"),
    (["create", "x", "nowhere.tengo", "--type", "module"], {}, 2, "nowhere.tengo: cannot be read"),
]


async def test_what_fails_is_said_on_standard_error_and_by_the_exit_status(juvuln: JuvulnCommand) -> None:
    for arguments, variables, status, error in FAILURES:
        said = await juvuln.with_variables(**variables)("program", *arguments)
        assert said.status == status, (arguments, said)
        assert error in said.err
        assert said.out == b""
        assert not any(word in said.err for word in ("Traceback", "secret", "wrong-Token")), said.err


async def test_names_do_not_steer_the_terminal(juvuln: JuvulnCommand, domain: Domain) -> None:
    await domain.add("a\x1b[2Jb\nc", SILENT)
    said = await juvuln.good("program", "list")
    assert "a␛[2Jb␊c" in said.text
    assert "\x1b" not in said.text


async def test_a_reader_that_leaves_is_no_error(juvuln: JuvulnCommand, domain: Domain) -> None:
    for number in range(300):
        await domain.store.create_program(specification(f"p{number:03}"), [], uuid4)
    process = await juvuln.start("program", "list", "--json")
    assert process.stdout is not None
    await process.stdout.readline()
    process.stdout._transport.close()  # type: ignore[attr-defined]
    assert process.stderr is not None
    assert await process.stderr.read() == b""
    assert await process.wait() == 0

"""`juvuln program …` against a real manager: what people and scripts see of it."""

import asyncio
import signal
from asyncio.subprocess import Process
from uuid import uuid4

from juvuln.domains.store import Specification
from tests.support.commands import LIMIT_SECONDS, JuvulnCommand
from tests.support.installation import Domain, Installation
from tests.support.standing import Guest

SILENT = "x := 1"


def specification(name: str) -> Specification:
    return Specification(uuid4(), name, "module", "active", "", 0, "tengo", ())


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
    uuid = said.text.split()[1]
    assert f"juvuln: warning: the program is created all the same: {uuid}\n" in said.err
    assert "bad:2:9: compile error: " in said.err
    assert "    y := x +* 2\n            ^\n" in said.err
    assert said.err.endswith("juvuln: revision 0 of bad does not compile, and is not signed\n")
    assert (await juvuln("program", "code", "bad")).status == 4
    # Where the source is not at hand it is fetched for the message.
    again = await juvuln("program", "sign", "bad")
    assert (again.status, again.err.splitlines()) == (1, [line for line in said.err.splitlines() if uuid not in line])
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


async def test_where_a_webhook_is_called_is_shown(juvuln: JuvulnCommand, guest: Guest) -> None:
    uuid = (await juvuln.good("program", "create", "hook", "--type", "webhook", "--quiet")).text.strip()
    url = f"http://127.0.0.1:{guest.manager_port}/v2/programs/{uuid}/webhook"
    assert f"url       {url}\n" in (await juvuln.good("program", "show", "hook")).text


async def test_who_creates_a_second_program_of_a_name_is_warned(juvuln: JuvulnCommand) -> None:
    assert (await juvuln("program", "create", "twin", "--type", "module")).err == ""
    said = await juvuln("program", "create", "twin", "--type", "module", "--quiet")
    assert said.status == 0
    assert said.err == "juvuln: warning: 2 programs are called twin now; the commands need the uuid\n"


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
    (["list"], {"SELFHOST_TOKEN": "wrong-Token"}, 5, "there is no such domain, or it has no such token"),
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
    async with juvuln.running("program", "list", "--json") as process:
        assert process.stdout is not None
        await process.stdout.readline()
        process.stdout._transport.close()  # type: ignore[attr-defined]
        assert process.stderr is not None
        assert await process.stderr.read() == b""
        assert await process.wait() == 0


SAYS_HELLO = """
cgi := import("cgi")
log := import("log")
log.info("hello %s", string(cgi.request.body()))
log.error("in %s", cgi.request.headers()["X-Place"])
"""
FAILS = """
log := import("log")
log.info("before")
x := 1 + "a"
"""
SLOW = """
log := import("log")
times := import("times")
log.info("begun")
times.sleep(20 * times.second)
"""
TICKS = """
log := import("log")
log.info("tick")
"""


async def test_a_program_is_run_by_hand_and_its_end_is_the_exit_status(juvuln: JuvulnCommand, domain: Domain) -> None:
    await domain.add("greet", SAYS_HELLO)
    await domain.add("fail", FAILS)
    await domain.add("mod", "export 1", kind="module")
    said = await juvuln.good(
        "program", "run", "greet", "--body", "-", "--header", "X-Place: Öland", stdin="Åsa".encode()
    )
    *log, end = said.text.splitlines()
    assert log == ["info: hello Åsa", "error: in Öland"]
    assert end.startswith("greet succeeded in ")
    failed = await juvuln("program", "run", "fail")
    assert failed.status == 1
    assert "info: before\nfail failed in" in failed.text
    assert "at fail:4:" in failed.text
    as_json = await juvuln("program", "run", "fail", "--json")
    assert (as_json.status, as_json.json()["outcome"]) == (1, "failed")
    module = await juvuln("program", "run", "mod")
    assert module.status == 1
    assert "module" in module.err
    asynchronous = await juvuln.good("program", "run", "greet", "--async", "--quiet")
    assert asynchronous.text.strip() in (await juvuln.good("program", "runs", "greet", "-q")).text.split()


async def test_runs_are_listed_and_chosen_by_outcome(juvuln: JuvulnCommand, domain: Domain) -> None:
    await domain.add("fail", FAILS)
    await domain.add("greet", 'cgi := import("cgi")')
    for name in ("fail", "greet", "fail"):
        await juvuln("program", "run", name)
    heading, *rows = (await juvuln.good("program", "runs", "--no-log", "--outcome", "succeeded")).text.splitlines()
    assert heading.split()[:5] == ["WHEN", "PROGRAM", "REV", "TRIGGER", "OUTCOME"]
    assert [row.split()[2] for row in rows] == ["greet"]
    assert len((await juvuln.good("program", "runs", "fail", "--json")).json()) == 2
    assert len((await juvuln.good("program", "runs", "fail", "--quiet", "--limit", "1")).text.split()) == 1
    said = (await juvuln.good("program", "logs", "fail")).text.splitlines()
    assert [line.split()[2:4] for line in said if not line.startswith(" ")] == 2 * [
        ["info", "before"],
        ["failed", "runtime:"],
    ]


async def lines_until(process: Process, *expected: str) -> list[str]:
    """What a command prints until it has printed a line that ends with each of these, in this order."""
    assert process.stdout is not None
    lines: list[str] = []
    for text in expected:
        while not lines or not lines[-1].endswith(text):
            async with asyncio.timeout(LIMIT_SECONDS):
                read = await process.stdout.readline()
            assert read, (lines, text)
            lines.append(read.decode().rstrip())
        lines.append("")
    return [line for line in lines if line]


async def interrupted(process: Process) -> tuple[int, bytes]:
    """How a command ends after Ctrl-C, and what it says on standard error."""
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(LIMIT_SECONDS):
        _, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, err


async def test_logs_are_followed_across_runs_until_ctrl_c(juvuln: JuvulnCommand, domain: Domain) -> None:
    uuid = await domain.add("tick", TICKS, kind="routine", schedule="@every 1s")
    async with juvuln.running("program", "logs", "--follow", "tick") as process:
        await lines_until(process, "tick", "tick")
        await domain.revise(uuid, TICKS.replace("tick", "tock"))
        await lines_until(process, "tock")
        assert await interrupted(process) == (130, b"")


async def test_a_runs_lines_come_while_it_is_under_way(juvuln: JuvulnCommand, domain: Domain, guest: Guest) -> None:
    uuid = await domain.add("slow", SLOW, deadline_ms=30_000)
    run = (await juvuln.good("program", "run", "slow", "--async", "--quiet")).text.strip()
    async with juvuln.running("program", "logs", "slow", "--follow", "--run", run) as process:
        await lines_until(process, "begun")
        (view,) = (await guest.call("GET", f"/v2/programs/{uuid}/runs")).json()
        assert view["outcome"] is None
        assert await interrupted(process) == (130, b"")


async def test_runs_are_watched_until_ctrl_c_even_while_the_manager_restarts(
    installation: Installation, domain: Domain
) -> None:
    manager, _ = await installation.start()
    await domain.add("tick", TICKS, kind="routine", schedule="@every 1s")
    juvuln = JuvulnCommand(installation.folder, installation.as_root)
    async with juvuln.running("program", "runs", "--watch", "tick") as process:
        lines = await lines_until(process, "info: tick", "info: tick")
        assert lines[0].split()[:2] == ["WHEN", "PROGRAM"]
        await manager.stop()
        assert process.stderr is not None
        async with asyncio.timeout(LIMIT_SECONDS):
            warning = (await process.stderr.readline()).decode()
        assert "cannot be reached" in warning
        assert warning.endswith("trying again\n")
        await manager.start()
        await lines_until(process, "info: tick")
        assert await interrupted(process) == (130, b"")


async def test_a_login_is_kept_once_the_server_has_accepted_it(juvuln: JuvulnCommand, domain: Domain) -> None:
    user = JuvulnCommand(juvuln.folder)
    where = ("--server", juvuln.variables["SELFHOST_SERVER"], "--domain", domain.name, "--token-stdin")
    wrong = await user("login", *where, stdin=b"wrong-Token\n")
    assert wrong.status == 5
    assert "wrong-Token" not in wrong.err
    assert (await user("program", "list")).status == 2
    said = await user.good("login", *where, stdin=b"root\n")
    kept = juvuln.folder / ".config" / "selfhost" / "profile.yaml"
    assert said.text == f"profile default: domain {domain.name} on {where[1]}; kept in {kept}\n"
    assert kept.stat().st_mode & 0o777 == 0o600
    await user.good("login", *where, "--profile", "other", stdin=b"root\n")
    assert (await user.good("program", "list")).status == 0
    assert (await user.good("program", "list", "--profile", "other")).status == 0
    shown = await user.with_variables(SELFHOST_DOMAIN="elsewhere").good("login", "--show", "--token", "t0ken")
    assert shown.text.splitlines() == [
        f"server  {where[1]}  (profile default)",
        "domain  elsewhere  (SELFHOST_DOMAIN)",
        "token   ***  (--token)",
    ]
    kept.chmod(0o644)
    refused = await user("program", "list")
    assert refused.status == 2
    assert f"do: chmod 600 {kept}" in refused.err


async def test_names_are_completed_in_silence(juvuln: JuvulnCommand, domain: Domain) -> None:
    await domain.add("alpha", SILENT)
    await domain.add("beta", SILENT)
    asked = {"_JUVULN_COMPLETE": "complete_bash", "COMP_WORDS": "juvuln program show a", "COMP_CWORD": "3"}
    assert (await juvuln.with_variables(**asked)()).text.split() == ["alpha"]
    said = await juvuln.with_variables(**asked, SELFHOST_SERVER="http://127.0.0.1:1")()
    assert (said.out.strip(), said.err) == (b"", "")

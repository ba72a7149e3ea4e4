"""What goes wrong around the daemons: each fault is said clearly, costs only what it must, and passes when mended."""

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.databases import PostgresServer, StoppableServer
from tests.support.installation import Installation
from tests.support.waiting import until

HOOK = 'cgi := import("cgi")\ncgi.response.write("here")\n'
EVERY_SECOND = "* * * * * *"


async def problem(installation: Installation, name: str) -> str | None:
    reply = await installation.call("GET", "/readyz", token=None)
    text: str | None = reply.json()["problems"].get(name)
    assert (reply.status == 503) == bool(reply.json()["problems"])
    return text


async def test_a_domain_that_is_away_at_the_start_holds_up_no_other(installation: Installation) -> None:
    here = await installation.add_domain("test")
    installation.write_domain_file({"gone": "postgresql://user:s3cret@127.0.0.1:1/gone"})
    uuid = await here.add("hook", HOOK)
    for daemon in (installation.manager(), installation.worker()):
        await daemon.start()

    async def answers() -> bool:
        return (await installation.webhook(uuid)).body == b"here"

    await until(answers, "the other domain's webhook answers")
    said = await problem(installation, "domain gone")
    assert said is not None
    assert "refuses the connection" in said
    assert "not read yet" in said
    assert "s3cret" not in installation.daemons[0].log_text()
    assert (await installation.call("GET", "/v2/programs", domain="gone")).status == 503


async def test_a_database_that_goes_away_is_told_and_its_programs_go_on_until_it_is_back(
    recorded_elsewhere: Installation, stoppable: StoppableServer
) -> None:
    installation = recorded_elsewhere
    domain = await installation.add_domain("test")
    uuid = await domain.add("beat", "x := 1", kind="routine", schedule=EVERY_SECOND)
    hook = await domain.add("hook", HOOK)
    await installation.start()
    await installation.until_runs(uuid, 1)
    await stoppable.stop()

    async def told() -> str | None:
        return await problem(installation, "domain test")

    said = await until(told, "the manager tells that the domain is away")
    assert "going on with what is known" in said
    # The token is remembered for a while; the record is elsewhere; the program's code is known.
    assert (await installation.webhook(hook)).body == b"here"
    await stoppable.start()

    async def ready() -> bool:
        return await problem(installation, "domain test") is None

    await until(ready, "the domain is back")
    runs = await installation.runs(uuid)
    runs = await installation.until_runs(uuid, len(runs) + 2)
    # A machine that has much to do may have one run last until the next is due.
    assert all(run["outcome"] == "succeeded" or run["reason"].startswith("still running") for run in runs)


async def test_a_record_that_is_away_stops_nothing_for_good_and_no_due_time_is_lost(
    installation: Installation, own_postgres: PostgresServer
) -> None:
    installation.record_url = await own_postgres.create()
    domain = await installation.add_domain("test")
    uuid = await domain.add("beat", "x := 1", kind="routine", schedule=EVERY_SECOND)
    hook = await domain.add("hook", HOOK)
    manager, _ = await installation.start()
    await installation.until_runs(uuid, 1)
    await own_postgres.stop()

    async def told() -> str | None:
        return await problem(installation, "record of runs")

    await until(told, "the manager tells that the record cannot be written")
    reply = await installation.webhook(hook)
    assert (reply.status, reply.json()["code"]) == (503, 503)
    assert manager.process.returncode is None
    await own_postgres.start()

    async def ready() -> bool:
        return await problem(installation, "record of runs") is None

    await until(ready, "the record is written again")
    runs = await installation.until_runs(uuid, 5)
    assert (await installation.webhook(hook)).body == b"here"
    # Each due time from the first to the last has its record, or lies within a gap that has one.
    assert {run["outcome"] for run in runs} <= {"succeeded", "missed", "skipped"}


async def test_a_full_disk_is_told_and_survived(installation: Installation) -> None:
    installation.record_url = f"sqlite:///{installation.folder}/record.db"
    domain = await installation.add_domain("test")
    hook = await domain.add("hook", HOOK)
    manager, _ = await installation.start()
    assert (await installation.webhook(hook)).status == 200
    # No file of the manager's may grow past its size now: the kernel says to it what a full disk would.
    largest = max(path.stat().st_size for path in installation.folder.glob("*.db*"))
    limits = resource.prlimit(manager.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(manager.pid, resource.RLIMIT_FSIZE, (largest, limits[1]))

    async def refused() -> bool:
        return (await installation.webhook(hook)).status == 503

    await until(refused, "calls are refused, for they cannot be put on record")
    assert manager.process.returncode is None
    said = await problem(installation, "record of runs")
    assert said is not None
    assert "cannot be written" in said
    resource.prlimit(manager.pid, resource.RLIMIT_FSIZE, limits)

    async def answers() -> bool:
        return (await installation.webhook(hook)).status == 200

    await until(answers, "calls are answered again")
    assert await problem(installation, "record of runs") is None


async def test_the_domain_file_is_followed_and_a_bad_one_keeps_the_old_state(installation: Installation) -> None:
    first = await installation.add_domain("test")
    uuid = await first.add("hook", HOOK)
    manager, _ = await installation.start()
    assert (await installation.webhook(uuid)).status == 200
    installation.domain_file.write_text("domains: [nonsense", encoding="utf-8")

    async def told() -> str | None:
        return await problem(installation, "domainfile")

    assert "is not YAML" in await until(told, "the bad file is told")
    assert (await installation.webhook(uuid)).status == 200
    second = await installation.add_domain("second")
    other = await second.add("hook", HOOK)

    async def answers() -> bool:
        return (await installation.webhook(other, domain="second")).status == 200

    await until(answers, "the added domain is followed")
    assert await problem(installation, "domainfile") is None
    del installation.domains["test"]
    installation.write_domain_file()

    async def gone() -> bool:
        return (await installation.webhook(uuid)).status == 401

    await until(gone, "the removed domain is forgotten")
    installation.domains["test"] = first
    assert manager.process.returncode is None


async def test_a_second_manager_on_the_same_port_leaves_the_runs_of_the_first_alone(installation: Installation) -> None:
    domain = await installation.add_domain("test")
    code = 'times := import("times")\ntimes.sleep(2 * times.second)\n'
    uuid = await domain.add("slow", code)
    await installation.start()
    call = asyncio.create_task(installation.webhook(uuid))

    async def under_way() -> bool:
        return len((await installation.call("GET", f"/v2/programs/{uuid}/runs")).json()) == 1

    await until(under_way, "the call is under way")
    second = installation.manager()
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("juvuln"),
        env={"PATH": os.environ["PATH"], "HOME": str(installation.folder), **second.environ},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 1
    assert b"is taken by another program" in said
    assert (await call).status == 200
    (run,) = await installation.until_runs(uuid, 1)
    assert run["outcome"] == "succeeded"


async def test_a_domain_that_is_first_read_while_the_record_is_away_is_followed_once_it_is_back(
    installation: Installation, own_postgres: PostgresServer
) -> None:
    installation.record_url = await own_postgres.create()
    await installation.add_domain("test")
    await installation.start()
    await own_postgres.stop()
    late = await installation.add_domain("late")
    uuid = await late.add("beat", "x := 1", kind="routine", schedule=EVERY_SECOND)
    installation.write_domain_file()

    async def told() -> str | None:
        return await problem(installation, "domain late")

    assert "record of runs" in await until(told, "the domain cannot be followed")
    await own_postgres.start()
    runs = await installation.until_runs(uuid, 2, domain="late")
    assert {run["outcome"] for run in runs} == {"succeeded"}


async def test_sighup_reads_the_domains_again(installation: Installation) -> None:
    installation.refresh_seconds = 60
    domain = await installation.add_domain("test")
    manager, _ = await installation.start()
    uuid = await domain.add("hook", HOOK)
    assert (await installation.webhook(uuid)).status == 404
    manager.signal(signal.SIGHUP)

    async def answers() -> bool:
        return (await installation.webhook(uuid)).body == b"here"

    await until(answers, "the new webhook is known")


def juvuln(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run juvuln to its end."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "JUVULN_STATE_DIR": str(folder), **variables}
    command = [str(Path(sys.executable).with_name("juvuln")), *arguments]
    return subprocess.run(command, env=environ, cwd=folder, capture_output=True, text=True, timeout=30, check=False)


def test_a_port_that_is_taken_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "domains.yaml").write_text("domains: {}\n", encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = juvuln(tmp_path, JUVULN_DOMAINFILE="domains.yaml", JUVULN_LISTEN__PORT=port)
    assert ended.returncode == 1
    assert f"juvuln: port {port} on 127.0.0.1 is taken by another program" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("config", "domains", "line"),
    [
        (None, "", "there is no such configuration file"),
        ("listen: [", "", "is not YAML"),
        ("- a", "", "must be a mapping"),
        ("domainfile: d.yaml\nlisten: {prt: 1}", "", "listen.prt: there is no such setting"),
        ("domainfile: d.yaml\nlisten: {port: x}", "", "listen.port: input should be a valid integer"),
        ("listen: {port: 1}", "", "domainfile must be set"),
        ("domainfile: other.yaml", "", "domainfile names other.yaml"),
        ("domainfile: d.yaml", "domains: {a: mysql://x}", "domains.a: a database URL begins with"),
        ("domainfile: d.yaml", "domains: {'a/b': sqlite:///x}", "domains.'a/b'"),
        ("domainfile: d.yaml", "domans: {}", "'domans': there is no such setting"),
        ("domainfile: d.yaml\ndatabase: nonsense", "domains: {}", "a database URL begins with"),
        ("domainfile: d.yaml\nschedule: {zone: Mars/Base}", "domains: {}", "there is no time zone 'Mars/Base'"),
    ],
)
def test_bad_configuration_is_one_clear_line_and_status_78(
    tmp_path: Path, config: str | None, domains: str, line: str
) -> None:
    if config is not None:
        (tmp_path / "juvuln.yaml").write_text(config, encoding="utf-8")
    (tmp_path / "d.yaml").write_text(domains, encoding="utf-8")
    for arguments in (["--check-config"], []):
        ended = juvuln(tmp_path, "--config", "juvuln.yaml", *arguments)
        assert ended.returncode == 78, ended.stderr
        assert line in ended.stderr
        assert "Traceback" not in ended.stderr
        assert all(each.startswith(("juvuln: ", "{")) for each in ended.stderr.splitlines())


def test_good_configuration_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "juvuln.yaml").write_text("domainfile: d.yaml", encoding="utf-8")
    (tmp_path / "d.yaml").write_text("domains: {a: sqlite:///a.db}", encoding="utf-8")
    ended = juvuln(tmp_path, "--check-config", CONFIG_FILENAME=str(tmp_path / "juvuln.yaml"))
    assert ended.returncode == 0, ended.stderr
    assert "configuration is good" in ended.stdout
    assert not (tmp_path / "a.db").exists()

"""No credential shows up in anything that the daemons and the commands write, whatever goes wrong."""

import base64
import os
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from sqlalchemy import text

from juvuln.database import open_engine
from juvuln.domains.edit import add_domain
from tests.support.commands import JuvulnCommand, Said
from tests.support.daemons import DaemonProcess
from tests.support.databases import SqliteFolder
from tests.support.installation import Installation, Reply
from tests.support.processes import children
from tests.support.tcp_postgres import QUOTED_PASSWORD, TcpPostgres, tcp_postgres
from tests.support.waiting import free_port, until

GOOD_PASSWORD = "g00d/Passw%rd@1"
SECRETS = {
    "password of the good database": GOOD_PASSWORD,
    "wrong password": "wr0ngPassw:rd#2",
    "password of an unreachable database": "unr3achable?Pass",
    "password in a broken URL": "br0ken@Pass/word",
    "the right token": "r1ght-t0ken-of-the-domain",
    "a wrong token": "wr0ng-t0ken-of-the-domain",
    "the shared secret": "sh4red-secret-of-both-daemons",
    "a wrong secret": "wr0ng-secret-of-a-stranger",
    "password of a worker": "w0rker-passw0rd-in-authority",
    "password of the library": "l1brary-passw0rd-in-authority",
}
USERS = ("test", "good", "wrong", "me", "worker", "library")
WEBHOOK = 'cgi := import("cgi")\nlog := import("log")\nlog.info("%s", "called")\ncgi.response.write("here")\n'
SLEEPER = 'times := import("times")\ntimes.sleep(20 * times.second)\n'


def forms(secret: str) -> Iterator[bytes]:
    """All ways in which a secret can be written down."""
    yield secret.encode()
    yield quote(secret, safe="").encode()
    for user in USERS:
        yield base64.b64encode(f"{user}:{secret}".encode())


@dataclass
class Written:
    """Everything that was written, by who wrote it."""

    texts: list[tuple[str, bytes]] = field(default_factory=list)

    def add(self, source: str, content: bytes | str) -> None:
        self.texts.append((source, content.encode() if isinstance(content, str) else content))

    def command(self, said: Said, *arguments: str) -> Said:
        self.add(f"juvuln {' '.join(arguments)}", said.out + said.err.encode())
        return said

    def reply(self, what: str, reply: Reply) -> Reply:
        self.add(what, repr(sorted(reply.headers.items())).encode() + reply.body)
        return reply

    def leaks(self) -> list[str]:
        return [
            f"{name} in {source}: {content[max(0, content.find(form) - 200) : content.find(form) + 50]!r}"
            for source, content in self.texts
            for name, secret in SECRETS.items()
            for form in forms(secret)
            if form in content
        ]


@pytest.fixture(scope="module")
def server() -> Iterator[TcpPostgres]:
    with tcp_postgres() as started:
        yield started


@pytest.fixture
async def urls(server: TcpPostgres) -> Mapping[str, str]:
    """Database URLs with a secret in each."""
    admin = open_engine(f"postgresql://postgres:{QUOTED_PASSWORD}@127.0.0.1:{server.port}/postgres")
    user = f"u{uuid4().hex}"
    async with admin.connect() as connection:
        await connection.run_sync(lambda plain: plain.execution_options(isolation_level="AUTOCOMMIT"))
        await connection.execute(text(f"CREATE ROLE {user} LOGIN PASSWORD '{GOOD_PASSWORD}'"))
        for name in ("domain", "record"):
            await connection.execute(text(f"CREATE DATABASE {user}_{name} OWNER {user}"))
    await admin.dispose()

    def url(secret: str, port: int, database: str) -> str:
        return f"postgresql://{user}:{quote(SECRETS[secret], safe='')}@127.0.0.1:{port}/{user}_{database}"

    return {
        "good": url("password of the good database", server.port, "domain"),
        "record": url("password of the good database", server.port, "record"),
        "wrong": url("wrong password", server.port, "domain"),
        "wrong record": url("wrong password", server.port, "record"),
        "away": url("password of an unreachable database", free_port(), "domain"),
        "broken": f"postgresql://me:{SECRETS['password in a broken URL']}@127.0.0.1/domain",
    }


@pytest.fixture
async def installation(tmp_path: Path) -> AsyncIterator[Installation]:
    made = Installation(tmp_path, SqliteFolder(tmp_path))
    await made.open()
    yield made
    await made.close()


async def test_commands_and_managers_that_cannot_start_write_no_credential(
    installation: Installation, urls: Mapping[str, str]
) -> None:
    written = Written()
    await make_domains(installation, urls, written)
    await begin_badly(installation, urls, written)
    assert written.leaks() == []


async def test_running_daemons_write_no_credential(installation: Installation, urls: Mapping[str, str]) -> None:
    written = Written()
    token = SECRETS["the right token"]
    options = ("--domainfile", str(installation.domain_file))
    juvuln = JuvulnCommand(installation.folder)
    await juvuln.good("domain", "init", "test", "-", "--token", token, "--add", *options, stdin=urls["good"].encode())
    for name in ("wrong", "away"):
        add_domain(installation.domain_file, name, urls[name])
    manager = installation.manager(
        DATABASE=urls["record"],
        SECRET=SECRETS["the shared secret"],
        LOG__LEVEL="debug",
        REFRESH__TIMEOUT_SECONDS="2",
        LIMITS__RATE__FAILURES_PER_SECOND="0",
    )
    worker = installation.worker(
        SECRET=SECRETS["the shared secret"],
        LOG__LEVEL="debug",
        MODULE_LIBRARY__AUTHORITY=f"library:{SECRETS['password of the library']}@127.0.0.1:{installation.manager_port}",
    )
    for daemon in (manager, worker):
        await daemon.start()
    await use(installation, worker, written)
    await break_domain_file(installation, manager, urls, written)
    await use_commands(installation, written)
    look_at_processes([manager, worker], written)
    for daemon in (worker, manager):
        assert await daemon.stop() == 0
        written.add(f"log of {daemon.name}", daemon.log_text())
    await dump_record(urls["record"], written)
    assert written.leaks() == []


async def make_domains(installation: Installation, urls: Mapping[str, str], written: Written) -> None:
    """All of `juvuln domain`, with URLs that never appear on a command line."""
    options = ("--domainfile", str(installation.domain_file))
    token = SECRETS["the right token"]
    for arguments, kind, status in (
        (("init", "test", "-", "--token", token, "--add", *options), "good", 0),
        (("init", "test", "-", "--token", token, "--add", *options), "good", 0),
        (("init", "x", "-", *options), "wrong", 1),
        (("init", "x", "-", *options), "away", 1),
        (("init", "x", "-", *options), "broken", 2),
        (("add", "wrong", "-", *options), "wrong", 0),
        (("add", "away", "-", *options), "away", 0),
        (("add", "test", "-", *options), "away", 78),
        (("add", "broken", "-", *options), "broken", 2),
        (("list", *options), "good", 0),
        (("list", "--json", *options), "good", 0),
        (("check", *options), "good", 1),
    ):
        juvuln = JuvulnCommand(installation.folder)
        said = await juvuln("domain", *arguments, stdin=f"{urls[kind]}\n".encode())
        written.command(said, "domain", *(each for each in arguments if each != token))
        assert said.status == status, (arguments, kind, said)


async def use(installation: Installation, worker: DaemonProcess, written: Written) -> None:
    """Calls that go well and calls that do not, an executor that crashes, a worker that cannot be reached."""
    right, wrong, secret = (SECRETS[name] for name in ("the right token", "a wrong token", "the shared secret"))

    async def call(method: str, path: str, status: int, **how: Any) -> Reply:
        reply = await installation.call(method, path, **how)
        assert reply.status == status, (method, path, how, reply)
        return written.reply(f"answer to {method} {path}", reply)

    hook = await make_program(installation, "hook", WEBHOOK)
    bad = await make_program(installation, "bad", "x := undefined\nx()\n")
    sleeper = await make_program(installation, "sleeper", SLEEPER)

    async def called() -> bool:
        reply = await installation.call("POST", f"/v2/programs/{hook}/webhook", token=right, data=b"")
        return reply.body == b"here"

    await until(called, "the webhook answers")
    await call("POST", f"/v2/programs/{bad}/webhook", 500, token=right, data=b"")
    await call("POST", f"/v2/programs/{hook}/webhook", 401, token=wrong, data=b"")
    await call("POST", f"/v1/webhooks/test/{hook}", 200, bearer=secret, data=b"")
    await call("POST", f"/v1/webhooks/test/{hook}", 401, bearer=SECRETS["a wrong secret"], data=b"")
    await call("GET", "/v2/programs", 401, token=wrong)
    await call("GET", "/v2/programs", 503, domain="away", token=wrong)
    await call("GET", "/v2/programs", 503, domain="wrong", token=right)
    await call("GET", f"/v2/programs/{uuid4()}", 404, token=right)
    await call("GET", "/v2/runs", 200, token=right)
    library = "/v1/library?domain=test&module=none&language=tengo&revision=latest"
    await call("GET", library, 404, bearer=secret)
    await call("GET", library, 401, bearer=SECRETS["a wrong secret"])
    await call("POST", "/v1/tasks", 401, url=worker.url, token=wrong, json={"any": "thing"})
    authority = f"worker:{SECRETS['password of a worker']}@127.0.0.1:{free_port()}"
    subscriber = {"uuid": str(uuid4()), "scheme": "http", "authority": authority, "languages": ["tengo"]}
    await call("POST", "/v1/subscribers", 201, bearer=secret, json=subscriber)
    for broken in ({**subscriber, "languages": 1}, {**subscriber, "authority": f"{authority}/x"}):
        await call("POST", "/v1/subscribers", 422, bearer=secret, json=broken)
    for _ in range(4):  # some of them go to the worker that cannot be reached
        reply = await installation.call("POST", f"/v2/programs/{hook}/webhook", token=right, data=b"")
        written.reply("answer to a webhook", reply)
    await crash_an_executor(installation, worker, f"/v2/programs/{sleeper}/run?async=true")
    for path in ("/readyz", "/metrics", "/openapi3.json"):
        written.reply(f"answer to {path}", await installation.call("GET", path, token=None))
        written.reply(f"worker's answer to {path}", await installation.call("GET", path, token=None, url=worker.url))


async def make_program(installation: Installation, name: str, code: str) -> str:
    token = SECRETS["the right token"]
    new = {
        **{"name": name, "type": "webhook", "state": "active", "schedule": ""},
        **{"deadline": 30_000, "language": "tengo"},
    }
    reply = await installation.call("POST", "/v2/programs", token=token, json=new)
    assert reply.status == 201, reply
    uuid: str = reply.json()["uuid"]
    assert (await installation.call("POST", f"/v2/programs/{uuid}/code", token=token, data=code.encode())).status == 201
    sign = f"/v2/programs/{uuid}/revisions/0/sign?force=true"
    assert (await installation.call("PUT", sign, token=token)).status == 204
    return uuid


async def crash_an_executor(installation: Installation, worker: DaemonProcess, run: str) -> None:
    """Ends all executors under a run."""
    reply = await installation.call("POST", run, token=SECRETS["the right token"], data=b"")
    assert reply.status == 202, reply

    async def crashed() -> bool:
        for pid in children(worker.pid):
            os.kill(pid, signal.SIGKILL)
        return bool(worker.events("executor_died") or "crash" in worker.log_text())

    await until(crashed, "an executor has crashed")


async def break_domain_file(
    installation: Installation, manager: DaemonProcess, urls: Mapping[str, str], written: Written
) -> None:
    good = installation.domain_file.read_text(encoding="utf-8")
    broken = SECRETS["password in a broken URL"]
    for fault in (
        f"  broken: {urls['broken']}\n",
        f"  {urls['broken']}: broken\n",
        f"  broken: *{broken}\n",
        f"  broken: {urls['good']}?sslmode={broken}\n",
        f"  broken: {{{urls['broken']}\n",
        f"  broken: !{broken} x\n",
        f"{urls['broken']}: 1\n",
    ):
        before = len(manager.events("domain_file_refused")) + len(manager.events("reload_failed"))
        installation.domain_file.write_text(good + fault, encoding="utf-8")
        manager.signal(signal.SIGHUP)

        async def refused(before: int = before) -> bool:
            return len(manager.events("domain_file_refused")) + len(manager.events("reload_failed")) > before

        await until(refused, "the domain file is refused")
        written.reply("answer to /readyz", await installation.call("GET", "/readyz", token=None))
    said = await JuvulnCommand(installation.folder)("domain", "list", "--domainfile", str(installation.domain_file))
    assert written.command(said, "domain", "list").status == 78
    installation.domain_file.write_text(good, encoding="utf-8")


async def use_commands(installation: Installation, written: Written) -> None:
    server = f"http://127.0.0.1:{installation.manager_port}"
    for token, status in (("the right token", 0), ("a wrong token", 5)):
        environ = {"SELFHOST_SERVER": server, "SELFHOST_DOMAIN": "test", "SELFHOST_TOKEN": SECRETS[token]}
        juvuln = JuvulnCommand(installation.folder, environ)
        for arguments in (("program", "list"), ("runs",), ("program", "show", "hook")):
            said = written.command(await juvuln(*arguments), *arguments)
            assert said.status == status, said


async def begin_badly(installation: Installation, urls: Mapping[str, str], written: Written) -> None:
    """Managers that cannot start."""
    folder = installation.folder
    for kind, log_format, status in (
        ("wrong record", "json", 1),
        ("wrong record", "console", 1),
        ("away", "console", 1),
        ("broken", "json", 78),
    ):
        juvuln = JuvulnCommand(
            folder,
            {
                "JUVULN_DATABASE": urls[kind],
                "JUVULN_DOMAINFILE": str(installation.domain_file),
                "JUVULN_LISTEN__PORT": str(free_port()),
                "JUVULN_LOG__FORMAT": log_format,
                "JUVULN_LOG__LEVEL": "debug",
                "JUVULN_SECRET": SECRETS["the shared secret"],
            },
        )
        said = written.command(await juvuln(), f"with a database that is {kind}")
        assert said.status == status, said
    juvuln = JuvulnCommand(folder, {"JUVULN_SECRET": "sh4red", "JUVULN_DOMAINFILE": str(installation.domain_file)})
    written.command(await juvuln("--check-config"), "--check-config")


def look_at_processes(daemons: list[DaemonProcess], written: Written) -> None:
    """What everybody on the machine sees of them, and what their children inherit."""
    for daemon in daemons:
        written.add(f"arguments of {daemon.name}", Path(f"/proc/{daemon.pid}/cmdline").read_bytes())
        for pid in children(daemon.pid):
            for name in ("cmdline", "environ"):
                try:
                    written.add(f"{name} of a child of {daemon.name}", Path(f"/proc/{pid}/{name}").read_bytes())
                except OSError:
                    continue  # it has just ended, or nobody may look


async def dump_record(url: str, written: Written) -> None:
    engine = open_engine(url)
    async with engine.connect() as connection:
        names = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        tables = [row[0] for row in await connection.execute(text(names))]
        assert "runs" in tables
        for table in tables:
            rows = (await connection.execute(text(f"SELECT t::text FROM {table} t"))).all()
            written.add(f"table {table} of the record", "\n".join(row[0] for row in rows))
    await engine.dispose()

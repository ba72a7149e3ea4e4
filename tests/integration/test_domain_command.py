"""`juvuln domain …`, on both kinds of databases and with a real manager."""

import asyncio
import re
from pathlib import Path

import pytest
from sqlalchemy import text

from juvuln.database import open_engine, transaction
from juvuln.domains.file import read_domain_file
from juvuln.domains.notify import is_installed
from tests.support.commands import JuvulnCommand
from tests.support.databases import DatabaseServer, PostgresServer
from tests.support.installation import Domain, Installation
from tests.support.waiting import until


@pytest.fixture
def juvuln(tmp_path: Path) -> JuvulnCommand:
    """The command, with a configuration that it finds as the daemon does."""
    folder = tmp_path / ".config" / "selfhost"
    folder.mkdir(parents=True)
    (folder / "juvuln.yaml").write_text("domainfile: domains.yaml\n", encoding="utf-8")
    return JuvulnCommand(tmp_path, {"CONFIG_FILENAME": "juvuln.yaml"})


def domain_file(juvuln: JuvulnCommand) -> Path:
    return juvuln.folder / ".config" / "selfhost" / "domains.yaml"


async def execute(url: str, *statements: str) -> None:
    engine = open_engine(url, create=True)
    async with transaction(engine, "test") as connection:
        for statement in statements:
            await connection.execute(text(statement))
    await engine.dispose()


async def tables(url: str) -> set[str]:
    names = "SELECT name FROM sqlite_master WHERE type = 'table'"
    if url.startswith("postgres"):
        names = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    engine = open_engine(url)
    async with transaction(engine, "test") as connection:
        found = {row[0] for row in await connection.execute(text(names))}
    await engine.dispose()
    return found


async def test_a_new_sqlite_domain_is_for_its_owner_alone(juvuln: JuvulnCommand) -> None:
    for _ in range(2):
        await juvuln.good("domain", "init", "test", "sqlite:///test.db")
        assert (juvuln.folder / "test.db").stat().st_mode & 0o777 == 0o600
    said = await juvuln("domain", "init", "test", "sqlite:///nowhere/test.db")
    assert said.status == 1
    assert "there is no such database file" in said.err


async def test_a_domain_is_made_added_seen_and_removed(juvuln: JuvulnCommand, databases: DatabaseServer) -> None:
    url = await databases.create()
    said = await juvuln.with_variables(SELFHOST_DATABASE_URL=url).good("domain", "init", "test", "--add")
    assert said.text.splitlines() == [
        "domain test: made, its user is root",
        f"domain test: added to {domain_file(juvuln)}",
    ]
    assert "which everybody knows; --random-token" in said.err
    assert read_domain_file(domain_file(juvuln)) == {"test": url}
    heading, row = (await juvuln.good("domain", "list")).text.splitlines()
    assert heading.split() == ["NAME", "KIND", "DATABASE", "PROGRAMS", "STATE"]
    assert (row.split()[:2], row.split()[-2:]) == (["test", databases.kind], ["0", "good"])
    (listed,) = (await juvuln.good("domain", "list", "--json")).json()
    assert (listed["name"], listed["programs"], listed["reachable"]) == ("test", 0, True)
    assert (await juvuln.good("domain", "remove", "test")).text.endswith("its database stays\n")
    assert (await juvuln.good("domain", "list")).text == "there is no domain\n"
    assert "users" in await tables(url)


async def test_making_it_again_changes_nothing_and_completes_what_is_missing(
    juvuln: JuvulnCommand, databases: DatabaseServer
) -> None:
    url = await databases.create()
    said = await juvuln.good("domain", "init", "test", "-", "--random-token", stdin=f"{url}\n".encode())
    assert re.search(r"^its token, which is shown only now: [\w-]{43}$", said.text, re.MULTILINE)
    assert said.err == ""
    said = await juvuln.good("domain", "init", "test", url, "--token", "other")
    assert said.text == "domain test: is complete; nothing was changed in it, its tokens stay\n"
    await execute(url, "DROP TABLE program_code_revisions")
    assert (await juvuln.good("domain", "init", "test", url)).text == "domain test: made, its user is root\n"
    assert "program_code_revisions" in await tables(url)


@pytest.mark.parametrize(
    "foreign",
    [
        "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT)",
        "CREATE TABLE groups (uuid INTEGER, name TEXT)",
        "CREATE VIEW programs AS SELECT 1 AS uuid",
    ],
)
async def test_a_database_with_something_else_under_these_names_is_refused_and_stays(
    juvuln: JuvulnCommand, databases: DatabaseServer, foreign: str
) -> None:
    url = await databases.create()
    await execute(url, foreign)
    before = await tables(url)
    said = await juvuln("domain", "init", "test", url, "--add")
    assert said.status == 1
    assert len(said.err.splitlines()) == 1
    assert "tables that juvuln did not make" in said.err
    assert await tables(url) == before
    assert not domain_file(juvuln).exists()


async def test_a_domain_that_others_made_is_never_altered(
    juvuln: JuvulnCommand, installation: Installation, domain: Domain
) -> None:
    await execute(domain.url, "DROP TABLE juvuln_domain")
    before = await tables(domain.url)
    said = await juvuln.good("domain", "init", "test", domain.url)
    assert said.text == "domain test: is complete; nothing was changed in it\n"
    if installation.databases.kind == "postgresql":
        said = await juvuln("domain", "init", "test", domain.url, "--notify")
        assert (said.status, said.err) == (
            1,
            "juvuln: domain test was not made by juvuln, so its tables are not altered\n",
        )
    assert await tables(domain.url) == before


async def test_notify_is_for_domains_of_ours_in_postgresql(
    juvuln: JuvulnCommand, postgres_server: PostgresServer
) -> None:
    url = await postgres_server.create()
    said = await juvuln.good("domain", "init", "test", url, "--notify")
    assert said.text.splitlines()[1] == "domain test: tells when its programs change"
    engine = open_engine(url)
    async with engine.connect() as connection:
        assert await is_installed(connection)
    await engine.dispose()
    said = await juvuln("domain", "init", "test", "sqlite:///x.db", "--notify")
    assert (said.status, "only a domain in PostgreSQL" in said.err) == (2, True)
    assert not (juvuln.folder / "x.db").exists()


async def test_two_that_make_the_same_domain_at_once_do_not_get_in_each_others_way(
    juvuln: JuvulnCommand, databases: DatabaseServer
) -> None:
    url = await databases.create()
    said = await asyncio.gather(*[juvuln.good("domain", "init", "test", url) for _ in range(3)])
    assert sorted(each.text.split(": ")[1].split(",")[0].strip() for each in said) == [
        "is complete; nothing was changed in it",
        "is complete; nothing was changed in it",
        "made",
    ]


async def test_check_says_what_is_wrong_with_each(juvuln: JuvulnCommand, databases: DatabaseServer) -> None:
    good, damaged, orphaned = [await databases.create() for _ in range(3)]
    for name, url in (("good", good), ("damaged", damaged), ("orphaned", orphaned)):
        await juvuln.good("domain", "init", name, url, "--add")
    assert (await juvuln.good("domain", "check", "good")).text.splitlines() == [
        "good: good, 0 programs",
        "good: note: the token of the user root is `root`, which everybody knows",
    ]
    await execute(damaged, "ALTER TABLE programs RENAME COLUMN schedule TO timetable", "DROP TABLE user_tokens")
    await execute(orphaned, "DELETE FROM users")
    away = "postgresql://me:s3cret@127.0.0.1:1/away"
    await juvuln.good("domain", "add", "away", away)
    said = await juvuln("domain", "check")
    assert said.status == 1
    assert said.text.splitlines() == [
        "good: good, 0 programs",
        "good: note: the token of the user root is `root`, which everybody knows",
        "damaged: table programs has no column schedule",
        "damaged: there is no table user_tokens",
        "orphaned: there is no user root",
        "away: refuses the connection; is the database running?",
    ]
    assert (await juvuln("domain", "check", "nosuch")).err == "juvuln: there is no domain 'nosuch' in the domain file\n"
    listed = {one["name"]: one for one in (await juvuln.good("domain", "list", "--json")).json()}
    assert (listed["away"]["database"], listed["away"]["reachable"]) == ("127.0.0.1:1/away", False)
    assert listed["damaged"]["reachable"]


async def test_a_running_manager_takes_up_a_domain_that_is_added_and_lets_go_of_one_that_is_removed(
    juvuln: JuvulnCommand, installation: Installation, domain: Domain
) -> None:
    manager = installation.manager(REFRESH__INTERVAL_SECONDS="60")
    await manager.start()
    url = await installation.databases.create()
    options = ("--domainfile", str(installation.domain_file))
    await juvuln.good("domain", "init", "new", url, "--add", *options)

    async def answers(status: int) -> bool:
        return (await installation.call("GET", "/v2/programs", domain="new")).status == status

    await until(lambda: answers(200), "the new domain is served", limit_seconds=2.0)
    await juvuln.good("domain", "remove", "new", *options)
    await until(lambda: answers(401), "the domain is gone", limit_seconds=2.0)
    assert (await installation.call("GET", "/v2/programs")).status == 200


async def test_two_domains_in_schemas_of_one_database_are_apart(
    juvuln: JuvulnCommand, postgres_server: PostgresServer
) -> None:
    url = await postgres_server.create()
    await execute(url, "CREATE TABLE users (id integer)", "CREATE SCHEMA one", "CREATE SCHEMA two")
    for schema in ("one", "two"):
        in_schema = f"{url}&options=-c%20search_path%3D{schema}"
        await juvuln.good("domain", "init", schema, in_schema, "--notify", "--add", "--random-token")
    said = await juvuln.good("domain", "check")
    assert said.text.splitlines() == ["one: good, 0 programs", "two: good, 0 programs"]
    assert await tables(url) == {"users"}

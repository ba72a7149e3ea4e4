"""How the manager follows its domains: changes by others, databases that are away or hang, the domain file."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from juvuln.database import open_engine
from juvuln.domains.notify import install
from tests.support.databases import PostgresServer, StoppableServer
from tests.support.installation import Domain, Installation
from tests.support.metrics import figures
from tests.support.waiting import until

HOOK = 'cgi := import("cgi")\ncgi.response.write("here")\n'
EVERY_SECOND = "* * * * * *"


@asynccontextmanager
async def silent_server() -> AsyncIterator[int]:
    """Accepts and says nothing; gives its port."""
    held: list[asyncio.StreamWriter] = []

    async def hold(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        for writer in held:
            writer.close()
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def freezing_proxy(url: str) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A way to a PostgreSQL behind a socket that passes nothing on while the event is not set."""
    address, _, options = url.partition("?")
    folder = parse_qs(options)["host"][0]
    thawed = asyncio.Event()
    thawed.set()
    pipes: set[asyncio.Task[None]] = set()

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while content := await reader.read(65536):
                await thawed.wait()
                writer.write(content)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        away_reader, away_writer = await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.5432")
        pipes.add(asyncio.create_task(pipe(reader, away_writer)))
        pipes.add(asyncio.create_task(pipe(away_reader, writer)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    database = address.rpartition("/")[2]
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/{database}?sslmode=disable", thawed
    finally:
        server.close()
        for each in pipes:
            each.cancel()
        await asyncio.gather(*pipes, return_exceptions=True)


@pytest.fixture
async def on_postgres(tmp_path: Path, postgres_server: PostgresServer) -> AsyncIterator[Installation]:
    """An installation whose domains are in PostgreSQL, for what there is only there."""
    made = Installation(tmp_path, postgres_server, record_url=f"sqlite:///{tmp_path}/record.db")
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def postgres_domain(on_postgres: Installation) -> Domain:
    return await on_postgres.add_domain("test")


async def until_figure(installation: Installation, name: str, value: float, domain: str | None = "test") -> None:
    async def reached() -> bool:
        return (await figures(installation, domain)).get(name) == value

    await until(reached, f"{name} is {value}")


async def problem(installation: Installation, name: str) -> str | None:
    text: str | None = (await installation.call("GET", "/readyz", token=None)).json()["problems"].get(name)
    return text


async def test_changes_by_somebody_else_are_seen_and_nothing_is_read_where_nothing_changed(
    installation: Installation, domain: Domain
) -> None:
    await domain.add("hook", HOOK)
    await installation.manager().start()
    await until_figure(installation, "juvuln_domain_programs", 1)
    before = await figures(installation, "test")

    async def polled() -> bool:
        name = "juvuln_domain_polls_unchanged_total"
        return (await figures(installation, "test"))[name] >= before[name] + 3

    await until(polled, "the domain was asked three times more")
    after = await figures(installation, "test")
    assert after["juvuln_domain_readings_total"] == before["juvuln_domain_readings_total"]
    assert after["juvuln_domain_age_seconds"] < 20
    await domain.add("another", HOOK)
    await until_figure(installation, "juvuln_domain_programs", 2)


async def test_what_goes_through_our_own_api_takes_effect_at_once(installation: Installation, domain: Domain) -> None:
    installation.refresh_seconds = 3600
    uuid = await domain.add("hook", HOOK, signed=False)
    await installation.start()
    assert (await installation.webhook(uuid)).status == 404
    for number in range(5):
        code = f'import("cgi").response.write("{number}")'.encode()
        assert (await installation.call("POST", f"/v2/programs/{uuid}/code", data=code)).status == 201
        signed = await installation.call("PUT", f"/v2/programs/{uuid}/revisions/{number + 1}/sign?force=true")
        assert signed.status == 204
        assert (await installation.webhook(uuid)).body == str(number).encode()


async def test_a_database_that_hangs_delays_neither_the_others_nor_the_api(installation: Installation) -> None:
    domain = await installation.add_domain("test")
    hook = await domain.add("hook", HOOK)
    async with silent_server() as port:
        hanging = {f"hangs{number}": f"postgresql://u:p@127.0.0.1:{port}/d" for number in range(12)}
        installation.write_domain_file(hanging)
        for daemon in (installation.manager(REFRESH__TIMEOUT_SECONDS="1"), installation.worker()):
            await daemon.start()

        async def answers() -> bool:
            return (await installation.webhook(hook)).body == b"here"

        await until(answers, "the other domain's webhook answers")

        async def told() -> bool:
            return all([await problem(installation, f"domain {name}") for name in hanging])

        await until(told, "all that hang are told")
        # Nobody waits for a connection any more: fifty calls take less than one time-out.
        async with asyncio.timeout(4):
            replies = await asyncio.gather(
                *[installation.call("GET", "/v2/programs", domain=f"hangs{number % 12}") for number in range(50)]
            )
        assert {reply.status for reply in replies} == {503}
        assert "Retry-After" in replies[0].headers
        assert "it is asked again in" in replies[0].json()["message"]
        # Neither does a domain that is added now.
        added = await installation.add_domain("added")
        installation.write_domain_file(hanging)
        await added.add("hook", HOOK)
        await until_figure(installation, "juvuln_domain_programs", 1, domain="added")


async def test_a_database_that_freezes_with_connections_open_is_let_go_and_taken_up_again(
    on_postgres: Installation, postgres_domain: Domain
) -> None:
    domain = postgres_domain
    await domain.add("hook", HOOK)
    engine = open_engine(domain.url)
    await install(engine)
    await engine.dispose()
    async with freezing_proxy(domain.url) as (url, thawed):
        on_postgres.write_domain_file({"test": url, "other": f"{url}&application_name=other"})
        manager = on_postgres.manager(REFRESH__TIMEOUT_SECONDS="1")
        await manager.start()
        await until_figure(on_postgres, "juvuln_domain_listening", 1)
        thawed.clear()
        await until_figure(on_postgres, "juvuln_domain_up", 0)
        assert "did not answer within 1 s" in (await problem(on_postgres, "domain test") or "")
        async with asyncio.timeout(2):
            assert (await on_postgres.call("GET", "/v2/programs")).status == 503
        on_postgres.write_domain_file({"test": url})

        async def forgotten() -> bool:
            return await figures(on_postgres, "other") == {}

        await until(forgotten, "the other domain, frozen as it is, is forgotten")
        thawed.set()
        await until_figure(on_postgres, "juvuln_domain_up", 1)
        await domain.add("another", HOOK)
        await until_figure(on_postgres, "juvuln_domain_programs", 2)
        assert await manager.stop() == 0


async def test_a_domain_that_is_back_is_noticed_and_its_figures_say_what_was(
    recorded_elsewhere: Installation, stoppable: StoppableServer
) -> None:
    installation = recorded_elsewhere
    domain = await installation.add_domain("test")
    await domain.add("hook", HOOK)
    installation.refresh_seconds = 3600
    manager = installation.manager()
    await manager.start()
    await until_figure(installation, "juvuln_domain_up", 1)
    await stoppable.stop()
    # A call that fails has the domain asked, long before the interval is over.
    assert (await installation.call("GET", "/v2/programs")).status == 503
    await until_figure(installation, "juvuln_domain_up", 0)
    said = await problem(installation, "domain test")
    assert said is not None
    assert "going on with what is known since" in said
    assert (await figures(installation, "test"))["juvuln_domain_errors_total"] >= 1
    await stoppable.start()
    await until_figure(installation, "juvuln_domain_up", 1)
    assert await problem(installation, "domain test") is None
    assert len(manager.events("domain_back")) == 1


async def test_routines_of_a_domain_that_is_away_too_long_are_skipped_for_that_reason(
    recorded_elsewhere: Installation, stoppable: StoppableServer
) -> None:
    installation = recorded_elsewhere
    here = await installation.add_domain("here")
    await here.add("hook", HOOK)
    domain = await installation.add_domain("test")
    uuid = await domain.add("beat", "x := 1", kind="routine", schedule=EVERY_SECOND)
    hook = await domain.add("hook", HOOK)
    for daemon in (installation.manager(REFRESH__MAX_AGE_SECONDS="1"), installation.worker()):
        await daemon.start()
    await installation.until_runs(uuid, 1)
    await stoppable.stop()

    async def skipped() -> list[str] | None:
        return skipped_runs(installation)

    reasons = await until(skipped, "a due time is skipped")
    assert all(reason.startswith("domain away since 20") for reason in reasons)
    assert "are not started any more" in (await problem(installation, "domain test") or "")
    assert (await installation.call("POST", f"/v1/webhooks/test/{hook}", bearer=secret(installation))).status == 503
    await stoppable.start()
    await until_figure(installation, "juvuln_domain_up", 1)
    before = len(await installation.runs(uuid))
    runs = await installation.until_runs(uuid, before + 2)
    assert runs[-1]["outcome"] == "succeeded"


def skipped_runs(installation: Installation) -> list[str] | None:
    """The reasons of the runs that were skipped while none was under way; None if there are none."""
    query = "SELECT reason FROM runs WHERE outcome = 'skipped' AND reason NOT LIKE 'still running%'"
    with closing(sqlite3.connect(installation.record_url.removeprefix("sqlite:///"))) as record:
        return [reason for (reason,) in record.execute(query)] or None


def secret(installation: Installation) -> str:
    return (installation.folder / "secret").read_text(encoding="utf-8").strip()


async def test_the_domain_file_may_be_edited_replaced_or_linked_elsewhere(installation: Installation) -> None:
    installation.refresh_seconds = 3600
    one, two, three = [await installation.add_domain(name) for name in ("one", "two", "three")]
    for domain in (one, two, three):
        await domain.add("hook", HOOK)
    file = installation.domain_file
    file.write_text(f"domains: {{one: '{one.url}'}}\n", encoding="utf-8")
    manager = installation.manager()
    await manager.start()
    await until_figure(installation, "juvuln_domain_programs", 1, domain="one")
    other = installation.folder / "other.yaml"
    other.write_text(f"domains: {{two: '{two.url}'}}\n", encoding="utf-8")
    os.replace(other, file)  # noqa: PTH105
    await until_figure(installation, "juvuln_domain_programs", 1, domain="two")
    assert await figures(installation, "one") == {}
    other.write_text(f"domains: {{three: '{three.url}'}}\n", encoding="utf-8")
    file.unlink()
    file.symlink_to(other)
    await until_figure(installation, "juvuln_domain_programs", 1, domain="three")
    other.write_text(f"domains: {{one: '{one.url}', three: '{three.url}'}}\n", encoding="utf-8")
    await until_figure(installation, "juvuln_domain_programs", 1, domain="one")
    assert {event["domain"] for event in manager.events("domain_removed")} == {"one", "two"}


async def test_a_bad_domain_file_is_said_once_for_each_fault_and_changes_nothing(installation: Installation) -> None:
    domain = await installation.add_domain("test")
    await domain.add("hook", HOOK)
    manager = installation.manager()
    await manager.start()
    await until_figure(installation, "juvuln_domain_programs", 1)
    assert (await figures(installation))["juvuln_domain_file_ok"] == 1
    for number, (content, said) in enumerate(
        (("domains: [", "is not YAML"), ("domains: [", "is not YAML"), ("domains: {a: b}", "URL"))
    ):
        installation.domain_file.write_text(content + "\n" * number, encoding="utf-8")

        async def told(said: str = said) -> bool:
            return said in (await problem(installation, "domainfile") or "")

        await until(told, "the bad file is told")
    assert (await figures(installation))["juvuln_domain_file_ok"] == 0
    assert (await figures(installation, "test"))["juvuln_domain_programs"] == 1
    installation.domain_file.unlink()

    async def gone() -> bool:
        return len(manager.events("domain_file_refused")) == 3

    await until(gone, "the file that is gone is told")
    installation.write_domain_file()
    await until_figure(installation, "juvuln_domain_file_ok", 1, domain=None)


async def test_a_domain_with_the_trigger_tells_of_its_changes_at_once(
    on_postgres: Installation, postgres_domain: Domain
) -> None:
    on_postgres.refresh_seconds = 3600
    engine = open_engine(postgres_domain.url)
    await install(engine)
    await on_postgres.manager().start()
    await until_figure(on_postgres, "juvuln_domain_listening", 1)
    for count in (1, 2, 3):
        await postgres_domain.add(f"hook {count}", HOOK)
        await until_figure(on_postgres, "juvuln_domain_programs", count)
    readings = (await figures(on_postgres, "test"))["juvuln_domain_readings_total"]
    async with asyncio.TaskGroup() as group:
        for number in range(40):
            group.create_task(postgres_domain.add(f"burst {number}", HOOK))
    await until_figure(on_postgres, "juvuln_domain_programs", 43)
    # Each of the forty is told of three times.
    assert (await figures(on_postgres, "test"))["juvuln_domain_readings_total"] < readings + 60
    # The connection that listens is made anew.
    async with engine.begin() as connection:
        await connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        )
    await postgres_domain.add("afterwards", HOOK)
    await until_figure(on_postgres, "juvuln_domain_programs", 44)
    await engine.dispose()


async def test_a_trigger_that_comes_later_is_found_at_the_next_refresh(
    on_postgres: Installation, postgres_domain: Domain
) -> None:
    await on_postgres.manager().start()
    await until_figure(on_postgres, "juvuln_domain_up", 1)
    assert (await figures(on_postgres, "test"))["juvuln_domain_listening"] == 0
    engine = open_engine(postgres_domain.url)
    await install(engine)
    await until_figure(on_postgres, "juvuln_domain_listening", 1)
    async with engine.begin() as connection:
        await connection.exec_driver_sql("DROP TRIGGER selfhost_programs_changed ON programs")
    await until_figure(on_postgres, "juvuln_domain_listening", 0)
    await engine.dispose()

"""PostgreSQL URLs in the form of libpq, against a real PostgreSQL."""

import asyncio
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from juvuln.database import DatabaseError, open_engine, transaction
from juvuln.postgresql import parse_postgresql_url
from shared.errors import ConfigurationError
from tests.support.tcp_postgres import (
    PASSWORD,
    QUOTED_PASSWORD,
    TcpPostgres,
    make_certificates,
    tcp_postgres,
    tls_front,
)
from tests.support.waiting import free_port

USER = f"postgres:{QUOTED_PASSWORD}"


@pytest.fixture(scope="module")
def server() -> Iterator[TcpPostgres]:
    with tcp_postgres() as started:
        yield started


async def ask(url: str, query: str = "SELECT 1") -> object:
    engine = open_engine(url)
    try:
        async with transaction(engine, "database") as connection:
            return (await connection.execute(text(query))).scalar_one()
    finally:
        await engine.dispose()


@pytest.mark.parametrize(
    "form",
    [
        "postgresql://{user}@127.0.0.1:{port}/postgres",
        "postgres://{user}@localhost:{port}/postgres",
        "postgresql://{user}@[::1]:{port}/postgres",
        "postgresql://{user}@/postgres?host={sockets}&port={port}",
        "postgresql://{user}@{quoted_sockets}:{port}/postgres",
        "postgresql:///postgres?host=127.0.0.1&port={port}&user=postgres&password={password}",
        "postgresql://127.0.0.1:{port}/?dbname=postgres&user=postgres&password={password}",
        "postgresql://{user}@127.0.0.1:{port}/postgres?sslmode=disable",
        "postgresql://{user}@127.0.0.1:{port}/postgres?sslmode=allow",
        "postgresql://{user}@127.0.0.1:{port}/postgres?sslmode=prefer",
        "postgresql://{user}@127.0.0.1:{closed},127.0.0.1:{port}/postgres",
        "postgresql://{user}@127.0.0.1,127.0.0.1/postgres?port={closed},{port}",
        "postgresql://{user}@127.0.0.1:{port}/postgres?connect_timeout=3",
        "postgresql://{user}@127.0.0.1:{port}/postgres?connect_timeout=0&keepalives=1&tcp_user_timeout=5000",
        "postgresql://{user}@127.0.0.1:{port}/postgres?target_session_attrs=read-write",
        "postgresql://{user}@127.0.0.1:{port}/postgres?target_session_attrs=primary",
        "postgresql://{user}@127.0.0.1:{port}/postgres?target_session_attrs=prefer-standby",
        "postgresql://{user}@127.0.0.1:{port}/postgres?binary_parameters=yes&client_encoding=UTF8",
        "postgresql://{user}@127.0.0.1:{port}/postgres?statement_cache_capacity=0&prefer_simple_protocol=true",
        "postgresql://{user}@127.0.0.1:{port}/postgres?pool_max_conns=10&sslcompression=0&gssencmode=prefer",
    ],
)
async def test_a_url_reaches_its_database(server: TcpPostgres, form: str) -> None:
    url = form.format(
        user=USER,
        password=QUOTED_PASSWORD,
        port=server.port,
        closed=free_port(),
        sockets=server.sockets,
        quoted_sockets=str(server.sockets).replace("/", "%2F"),
    )
    assert await ask(url) == 1


@pytest.mark.parametrize(
    ("parameters", "query", "answer"),
    [
        ("options=-c%20search_path%3Dmine%2Cpublic", "SHOW search_path", "mine,public"),
        ("options=-c%20statement_timeout%3D4321%20-c%20work_mem%3D8MB", "SHOW statement_timeout", "4321ms"),
        ("search_path=mine", "SHOW search_path", "mine"),
        ("application_name=a%20name", "SHOW application_name", "a name"),
        ("fallback_application_name=other", "SHOW application_name", "other"),
        ("", "SHOW application_name", "juvuln"),
        ("default_transaction_read_only=on", "SHOW transaction_read_only", "on"),
        ("client_encoding=latin1", "SHOW client_encoding", "UTF8"),
    ],
)
async def test_options_reach_the_session(server: TcpPostgres, parameters: str, query: str, answer: str) -> None:
    url = f"postgresql://{USER}@127.0.0.1:{server.port}/postgres?{parameters}".removesuffix("?")
    assert await ask(url, query) == answer


async def test_names_with_special_characters_are_decoded(server: TcpPostgres) -> None:
    admin = f"postgresql://{USER}@127.0.0.1:{server.port}/postgres"
    engine = open_engine(admin)
    async with engine.connect() as connection:
        await connection.run_sync(lambda plain: plain.execution_options(isolation_level="AUTOCOMMIT"))
        await connection.execute(text("CREATE ROLE \"we ird@user\" LOGIN PASSWORD 's3c:ret'"))
        await connection.execute(text('CREATE DATABASE "da ta/base?"'))
    await engine.dispose()
    url = f"postgresql://we%20ird%40user:s3c%3Aret@127.0.0.1:{server.port}/da%20ta%2Fbase%3F"
    assert await ask(url, "SELECT current_user || '|' || current_database()") == "we ird@user|da ta/base?"


async def test_a_host_that_says_nothing_does_not_keep_from_the_next_one(server: TcpPostgres) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hosts = f"127.0.0.1:{silent.getsockname()[1]},127.0.0.1:{server.port}"
        assert await ask(f"postgresql://{USER}@{hosts}/postgres?connect_timeout=1&sslmode=disable") == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ((QUOTED_PASSWORD, "s3cret"), "password authentication failed"),
        (("/postgres?", "/nosuch?"), 'database "nosuch" does not exist'),
        (("?", "?target_session_attrs=standby&"), "target attribute requirement"),
        (("?", "?sslmod=require&"), 'unrecognized configuration parameter "sslmod"'),
        (("?", "?sslmode=require&"), "SSL upgrade"),
        (("?", "?sslmode=verify-full&sslrootcert=/nowhere.pem&"), "No such file"),
    ],
)
async def test_what_cannot_be_reached_is_one_line_that_repeats_no_credentials(
    server: TcpPostgres, change: tuple[str, str], reason: str
) -> None:
    url = f"postgresql://{USER}@127.0.0.1:{server.port}/postgres?connect_timeout=3".replace(*change)
    with pytest.raises(DatabaseError, match=reason) as caught:
        await ask(url)
    text_of_it = str(caught.value)
    assert "\n" not in text_of_it
    assert not any(secret in text_of_it for secret in (PASSWORD, QUOTED_PASSWORD, "s3cret", "postgresql://"))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="certificates are made by openssl")
@pytest.mark.parametrize(
    ("host", "parameters", "works"),
    [
        ("localhost", "sslmode=require", True),
        ("localhost", "sslmode=verify-ca&sslrootcert={ca}", True),
        ("127.0.0.1", "sslmode=verify-ca&sslrootcert={ca}", True),
        ("localhost", "sslmode=verify-full&sslrootcert={ca}", True),
        ("127.0.0.1", "sslmode=verify-full&sslrootcert={ca}", False),
        ("localhost", "sslmode=verify-full", False),
        ("localhost", "sslrootcert=system", False),
    ],
)
async def test_sslmode_says_how_far_the_server_is_verified(
    server: TcpPostgres, tmp_path: Path, host: str, parameters: str, works: bool
) -> None:
    authority, certificate, key = await asyncio.to_thread(make_certificates, tmp_path, "localhost")
    async with tls_front(server.port, certificate, key) as port:
        url = f"postgresql://{USER}@{host}:{port}/postgres?{parameters.format(ca=authority)}"
        if works:
            assert await ask(url) == 1
        else:
            with pytest.raises(DatabaseError, match="certificate verify failed"):
                await ask(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3cret@h:99999/db",
        "postgresql://me:s3cret@h:0/db",
        "postgresql://me:s3cret@[::1/db",
        "postgresql://me:s3cret%zz@h/db",
        "postgresql://me:s3cret%00@h/db",
        "postgresql://me:s3cret%ff@h/db",
        "postgresql://me@h/db?password=s3cret@x",
        "postgresql://me:s3cret@h/db?sslmode=s3cret",
        "postgresql://me:s3cret@h/db?connect_timeout=s3cret",
        "postgresql://me:s3cret@h/db?target_session_attrs=s3cret",
        "postgresql://me:s3cret@h/db?channel_binding=require",
        "postgresql://me:s3cret@h/db?replication=true",
        "postgresql://me:s3cret@h/db?nonsense",
        "postgresql://me:s3cret@h/db?s3cret-=1",
        "postgresql://me:s3cret@a,b,c/db?port=1,2",
        "postgresql://me:s3cret@h/db\n",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_postgresql_url(url)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


@given(st.text())
def test_no_text_makes_the_parser_fail_in_another_way(rest: str) -> None:
    try:
        parse_postgresql_url(f"postgresql://{rest}")
    except ConfigurationError as error:
        assert "\n" not in str(error)


def test_the_place_and_the_repr_hold_no_credentials() -> None:
    url = parse_postgresql_url("postgresql://me:s3cret@[::1]:5433,two/db?sslpassword=s3cret&options=-cs3cret%3D1")
    assert url.place == "[::1]:5433,two/db"
    assert "s3cret" not in repr(url)

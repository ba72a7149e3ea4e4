"""Domains whose tables the Go API server made and fills: everything works on them, and nothing in them is altered."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.support.databases import PostgresServer
from tests.support.installation import Installation
from tests.support.selfhost import catalogue, make_selfhost_domain
from tests.support.waiting import until

HELLO = b'cgi := import("cgi")\ncgi.response.write("hello")\n'


class RealDomain:
    """An installation with a domain of the Go API server's, and a connection on which that writes to it."""

    def __init__(self, installation: Installation, connection: asyncpg.Connection) -> None:
        self.installation = installation
        self.connection = connection

    async def add(self, code: bytes | None = HELLO, *, signed: bool = True, **columns: Any) -> UUID:
        """Add a program with a revision, all else left to the tables' defaults."""
        columns = {"name": "p", "type": "webhook", "state": "active"} | columns
        names, places = ", ".join(columns), ", ".join(f"${number}" for number in range(1, len(columns) + 1))
        uuid: UUID = await self.connection.fetchval(
            f"INSERT INTO programs ({names}) VALUES ({places}) RETURNING uuid", *columns.values()
        )
        await self.revise(uuid, 0, code, "now()" if signed else "NULL")
        return uuid

    async def revise(self, uuid: UUID, revision: int, code: bytes | None, signed: str) -> None:
        await self.connection.execute(
            f"INSERT INTO program_code_revisions (program_uuid, revision, code, signed) VALUES ($1, $2, $3, {signed})",
            uuid,
            revision,
            code,
        )

    async def until_called(self, uuid: UUID) -> bytes:
        async def answer() -> bytes | None:
            reply = await self.installation.webhook(uuid)
            return reply.body if reply.status == 200 else None

        return await until(answer, f"{uuid} answers")


@pytest.fixture
async def real(tmp_path: Path, postgres_server: PostgresServer) -> AsyncIterator[RealDomain]:
    installation = Installation(tmp_path, postgres_server)
    await installation.open()
    url = await postgres_server.create()
    await make_selfhost_domain(url)
    connection = await asyncpg.connect(url)
    installation.write_domain_file({"test": url})
    yield RealDomain(installation, connection)
    await installation.close()
    await connection.close()


async def test_everything_works_and_nothing_is_altered(real: RealDomain) -> None:
    before = await catalogue(real.connection)
    call = real.installation.call
    written = await real.add()
    await real.installation.start()
    assert await real.until_called(written) == b"hello"
    new = {"name": "ours", "type": "webhook", "state": "active", "schedule": "", "deadline": 0, "language": "tengo"}
    created = await call("POST", "/v2/programs", json=new | {"tags": ["å", "b"]})
    assert created.status == 201, created.body
    path = f"/v2/programs/{created.json()['uuid']}"
    upload = await call("POST", f"{path}/code", data=HELLO)
    assert upload.status == 201, upload.body
    assert (await call("PUT", f"{path}/revisions/0/sign")).status == 204
    assert (await call("POST", f"{path}/webhook")).body == b"hello"
    assert (await call("GET", "/v2/programs?tags=å")).json() == [created.json()]
    (revision,) = (await call("GET", f"{path}/revisions")).json()
    assert revision["created_by"] == revision["signed_by"] == "00000000-0000-1000-8000-000000000000"
    assert (await call("PUT", path, json={"tags": [], "deadline": 5})).status == 204
    assert (await call("GET", f"{path}/diff?rev_a=0&rev_b=-1")).body == b""
    rights = "SELECT count(*) FROM group_policies WHERE effect = 'allow' AND priority = 0 AND resource = $1"
    assert await real.connection.fetchval(rights, f"programs/{created.json()['uuid']}/%") == 4
    assert (await call("DELETE", f"{path}/revisions/0")).status == 204
    assert (await call("DELETE", path)).status == 204
    assert await catalogue(real.connection) == before


async def test_what_is_null_is_null_and_code_that_is_not_there_is_said_to_be_missing(real: RealDomain) -> None:
    uuid = await real.add(None)
    sound = await real.add(name="sound")
    module = await real.add(None, name="mod", type="module")
    importer = await real.add(b'm := import("mod")\n', name="importer")
    await real.installation.start()
    call = real.installation.call
    (revision,) = (await call("GET", f"/v2/programs/{uuid}/revisions")).json()
    assert (revision["created_by"], revision["signed_by"], revision["checksum"]) == (None, None, None)
    missing = await call("GET", f"/v2/programs/{uuid}/code")
    assert (missing.status, missing.json()["message"]) == (
        404,
        f"the newest signed revision of program {uuid} has no code",
    )
    await real.revise(uuid, 1, HELLO, "NULL")
    assert b"+cgi.response" in (await call("GET", f"/v2/programs/{uuid}/diff?rev_a=0&rev_b=1")).body
    assert await real.until_called(sound) == b"hello"
    assert (await real.installation.webhook(uuid)).status == 404
    refused = await real.installation.webhook(importer)
    assert refused.status == 500
    assert "mod" in refused.json()["message"]
    assert module


async def test_odd_rows_are_listed_as_they_are_and_stop_nobody(real: RealDomain) -> None:
    odd: list[dict[str, Any]] = [
        {"name": "defaults", "type": "program", "state": "inactive"},
        {"name": "unset schedule", "type": "routine", "schedule": "0s"},
        {"name": "", "type": "cgi", "state": "paused", "language": "lua", "deadline": -(2**31)},
        {"name": "lua", "language": "lua", "deadline": 2**31 - 1},
        {"name": "x" * 10_000, "type": "routine", "schedule": "\n" * 100, "tags": ["", "x" * 10_000]},
        {"name": "\x01\x7f‮🦉", "schedule": "0 0 0 30 2 *", "type": "routine"},
    ]
    uuids = [await real.add(**row) for row in odd]
    sound = await real.add(name="sound")
    tick = await real.add(b"x := 1", name="tick", type="routine", schedule="@every 1s")
    for created in ("infinity", "-infinity", "4713-01-01 BC", "200000-01-01"):
        number = await real.connection.fetchval(
            "SELECT count(*) FROM program_code_revisions WHERE program_uuid = $1", sound
        )
        await real.revise(sound, number, HELLO, f"'{created}'")
    await real.connection.execute("UPDATE program_code_revisions SET created = signed WHERE program_uuid = $1", sound)
    await real.installation.start()
    assert await real.until_called(sound) == b"hello"
    await real.installation.until_runs(tick, 1)
    listed = (await real.installation.call("GET", "/v2/programs")).json()
    by_uuid = {program["uuid"]: program for program in listed}
    for uuid, row in zip(uuids, odd, strict=True):
        assert {name: by_uuid[str(uuid)][name] for name in row} == row
        one = await real.installation.call("GET", f"/v2/programs/{uuid}")
        assert one.json() == by_uuid[str(uuid)]
    revisions = await real.installation.call("GET", f"/v2/programs/{sound}/revisions")
    assert revisions.status == 200
    assert [revision["signed"][:4] for revision in revisions.json()[1:]] == ["9999", "0001", "0001", "9999"]
    # Other fields can be mended one by one.
    changed = await real.installation.call("PUT", f"/v2/programs/{uuids[1]}", json={"tags": ["seen"]})
    assert changed.status == 204
    refused = await real.installation.call("PUT", f"/v2/programs/{uuids[1]}", json={"state": "active"})
    assert (refused.status, refused.json()["message"][:9]) == (409, "schedule:")


async def test_a_user_who_is_deleted_leaves_revisions_without_a_name(real: RealDomain) -> None:
    await real.connection.execute("INSERT INTO users (uuid, name) VALUES ($1, 'ada')", ada := uuid4())
    await real.connection.execute(
        "INSERT INTO user_tokens (user_uuid, name, token_hash) VALUES ($1, '', sha256('t0k'))", ada
    )
    await real.connection.execute(
        "INSERT INTO user_groups VALUES ($1, '00000000-0000-1000-8000-000000000000')",
        ada,
    )
    uuid = await real.add()
    await real.installation.manager(ACCESS__CACHE_SECONDS="60").start()
    call, path = real.installation.call, f"/v2/programs/{uuid}"
    assert (await call("POST", f"{path}/code", data=HELLO, token="t0k")).json()["created_by"] == str(ada)
    await real.connection.execute("DELETE FROM users WHERE uuid = $1", ada)
    # The token is still remembered, while the user is there no more.
    assert (await call("POST", f"{path}/code", data=HELLO, token="t0k")).status == 201
    assert (await call("PUT", f"{path}/revisions/1/sign?force=true", token="t0k")).status == 204
    revisions = (await call("GET", f"{path}/revisions")).json()
    assert [(revision["created_by"], revision["signed_by"]) for revision in revisions] == [(None, None)] * 3


async def test_what_the_database_itself_refuses_is_a_conflict(real: RealDomain) -> None:
    await real.connection.execute("ALTER TABLE programs ADD CONSTRAINT short CHECK (length(name) < 10)")
    await real.installation.manager().start()
    new = {"name": "much too long", "type": "webhook", "state": "active", "deadline": 0, "language": "tengo"}
    reply = await real.installation.call("POST", "/v2/programs", json=new)
    assert (reply.status, reply.json()["code"]) == (409, 409)

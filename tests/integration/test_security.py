"""Strangers stay outside, and secrets stay inside."""

import stat
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.installation import Domain, Installation
from tests.support.standing import Guest

TASK = {
    "deadline": 1000,
    "domain": "test",
    "language": "tengo",
    "program_uuid": str(uuid4()),
    "source_code": "eCA6PSAx",
}


@pytest.mark.parametrize("bearer", [None, "wrong"])
async def test_a_stranger_can_neither_subscribe_nor_read_the_library_nor_send_a_task(
    guest: Guest, domain: Domain, bearer: str | None
) -> None:
    await domain.add("mod", "export 1", kind="module")
    _, worker = await guest.start()
    subscriber = {"uuid": str(uuid4()), "scheme": "http", "authority": "127.0.0.1:1", "languages": ["tengo"]}
    one = f"/v1/subscribers/{uuid4()}"
    library = f"/v1/library?domain={domain.name}&module=mod&language=tengo&revision=latest"
    for method, path, json in (
        ("POST", "/v1/subscribers", subscriber),
        ("GET", one, None),
        ("DELETE", one, None),
        ("PUT", f"{one}/load", {"load": 0}),
        ("GET", library, None),
    ):
        reply = await guest.call(method, path, token=None, bearer=bearer, json=json)
        assert reply.status == 401, (method, path)
        assert "mod" not in reply.json()["message"].split()
    # Not even with a token of the domain: the library is for workers.
    assert (await guest.call("GET", library)).status == 401
    for token in (None, "root"):
        reply = await guest.call("POST", "/v1/tasks", token=token, bearer=bearer, json=TASK, url=worker.url)
        assert reply.status == 401
        reply = await guest.call("GET", "/v1/status", token=token, bearer=bearer, url=worker.url)
        assert reply.status == 401


async def test_whoever_shows_the_secret_reads_the_library_and_unchanged_modules_cost_nothing(
    guest: Guest, domain: Domain
) -> None:
    await domain.add("mod", "export 1", kind="module")
    await guest.start()
    secret = _secret(guest.folder)
    query = f"/v1/library?domain={domain.name}&module=mod&language=tengo&revision="
    reply = await guest.call("GET", query + "latest", bearer=secret)
    assert (reply.status, reply.body) == (200, b"export 1")
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert reply.headers["X-Revision"] == "0"
    etag = {"If-None-Match": reply.headers["ETag"]}
    assert (await guest.call("GET", query + "0", bearer=secret, headers=etag)).status == 304
    for wrong, status in (("1", 404), ("x", 400), ("-1", 400), ("", 400), ("99999999999", 400)):
        reply = await guest.call("GET", query + wrong, bearer=secret)
        assert (reply.status, reply.json()["code"]) == (status, status)


async def test_the_secret_is_made_once_for_its_owner_only_and_shows_up_nowhere(
    installation: Installation, domain: Domain
) -> None:
    uuid = await domain.add("hook", "x := 1")
    daemons = await installation.start()
    assert (await installation.webhook(uuid)).status == 200
    path = installation.folder / "secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    secret = _secret(installation.folder)
    for daemon in daemons:
        assert await daemon.stop() == 0
        assert secret not in daemon.log_text()
        assert "root:root" not in daemon.log_text()
        assert "cm9vd" not in daemon.log_text()


async def test_a_program_does_not_see_the_credentials_of_its_caller(guest: Guest, domain: Domain) -> None:
    code = """
cgi := import("cgi")
json := import("json")
cgi.response.write(json.encode(cgi.request.headers()))
"""
    uuid = await domain.add("headers", code)
    await guest.start()
    headers = {"X-Mine": "here", "Cookie": "session=1"}
    reply = await guest.call("POST", f"/v2/programs/{uuid}/webhook", data=b"", headers=headers)
    seen = {name.lower(): value for name, value in reply.json().items()}
    assert seen["x-mine"] == "here"
    assert not {"authorization", "cookie"} & set(seen)


async def test_policies_decide_who_may_do_what(guest: Guest, domain: Domain) -> None:
    from sqlalchemy import text

    from juvuln.database import transaction

    uuid = await domain.add("hook", "x := 1")
    async with transaction(domain.store._engine, "policies") as connection:
        await connection.execute(
            text(
                "INSERT INTO group_policies (uuid, group_uuid, priority, effect, action, resource) "
                "SELECT :uuid, group_uuid, 0, 'deny', 'create', :resource FROM group_policies LIMIT 1"
            ),
            {
                "uuid": uuid4() if guest.databases.kind == "postgresql" else uuid4().hex,
                "resource": f"programs/{uuid}/webhook",
            },
        )
    await guest.start()
    reply = await guest.webhook(uuid)
    assert reply.status == 403
    assert reply.json()["message"] == f"no policy lets you create programs/{uuid}/webhook"
    assert (await guest.call("GET", f"/v2/programs/{uuid}")).status == 200


@pytest.mark.usefixtures("domain")
async def test_auth_open_takes_workers_without_a_secret_but_not_on_other_addresses(installation: Installation) -> None:
    exposed = installation.manager(AUTH="open", LISTEN__HOST="0.0.0.0")
    with pytest.raises(AssertionError, match="say it a second time"):
        await exposed.start()
    assert exposed.process.returncode == 78
    await installation.manager(AUTH="open").start()
    subscriber = {"uuid": str(uuid4()), "scheme": "http", "authority": "127.0.0.1:1", "languages": ["tengo"]}
    assert (await installation.call("POST", "/v1/subscribers", token=None, json=subscriber)).status == 201


def _secret(folder: Path) -> str:
    return (folder / "secret").read_text(encoding="utf-8").strip()

"""Every call of `/v2/programs`, and every refusal of it that the contract names."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.auth import BasicCredentials
from tests.support.installation import Domain, Installation
from tests.support.standing import Guest

NEW: dict[str, Any] = {
    "name": "new",
    "type": "webhook",
    "state": "active",
    "schedule": "",
    "deadline": 1000,
    "language": "tengo",
}
LIMIT = 1024 * 1024
PROGRAM = "/v2/programs/{uuid}"


@pytest.fixture
async def program(guest: Guest, domain: Domain) -> UUID:
    """A program in a running manager's domain, with a signed revision."""
    uuid = await domain.add("p", "x := 1")
    await guest.start()
    return uuid


async def test_each_path_says_which_methods_it_has_and_refuses_the_others(guest: Guest, program: UUID) -> None:
    table = {
        "/v2/programs": "GET, HEAD, OPTIONS, POST",
        PROGRAM: "DELETE, GET, HEAD, OPTIONS, PUT",
        f"{PROGRAM}/code": "GET, HEAD, OPTIONS, POST",
        f"{PROGRAM}/revisions": "GET, HEAD, OPTIONS",
        f"{PROGRAM}/revisions/0": "DELETE, OPTIONS",
        f"{PROGRAM}/revisions/0/sign": "OPTIONS, PUT",
        f"{PROGRAM}/diff": "GET, HEAD, OPTIONS",
        f"{PROGRAM}/webhook": "OPTIONS, POST",
    }
    for template, allowed in table.items():
        path = template.format(uuid=program)
        told = await guest.call("OPTIONS", path, token=None)
        assert (told.status, told.headers["Allow"], told.body) == (204, allowed, b"")
        for method in {"GET", "POST", "PUT", "DELETE", "PATCH", "TRACE"} - set(allowed.split(", ")):
            refused = await guest.call(method, path)
            assert (refused.status, refused.json()["code"]) == (405, 405), (method, path)
            assert set(refused.headers["Allow"].replace(" ", "").split(",")) == set(allowed.split(", "))


async def test_head_answers_as_get_does_without_the_body(guest: Guest, program: UUID) -> None:
    one = PROGRAM.format(uuid=program)
    for path in ("/v2/programs", one, f"{one}/code", f"{one}/revisions", f"{one}/diff?rev_a=0&rev_b=0", f"{one}/nope"):
        get, head = [await guest.call(method, path) for method in ("GET", "HEAD")]
        assert head.status == get.status
        assert head.body == b""
        assert head.headers["Content-Type"] == get.headers["Content-Type"]
        assert head.headers.get("Content-Length", "0") == get.headers["Content-Length"], path


async def test_whoever_shows_no_credentials_is_asked_for_them_first(guest: Guest, program: UUID) -> None:
    one = PROGRAM.format(uuid=program)
    for method, path in (
        ("GET", "/v2/programs"),
        ("POST", "/v2/programs"),
        ("GET", one),
        ("PUT", f"/v2/programs/{uuid4()}"),
        ("DELETE", "/v2/programs/nonsense"),
        ("POST", f"{one}/code"),
        ("PUT", f"{one}/revisions/x/sign"),
        ("GET", f"{one}/diff"),
    ):
        reply = await guest.call(method, path, token=None, data=b"x" if method in ("POST", "PUT") else None)
        assert (reply.status, reply.headers["WWW-Authenticate"][:12]) == (401, "Basic realm="), (method, path)


async def test_what_names_no_program_is_not_found(hosted: Guest) -> None:
    named = str(uuid4())
    for name in (named, "x", "0" * 32, f"{{{named}}}", "%00", "..", "\u0661" * 8, "%ff", f"urn:uuid:{named}"):
        for method, path in (("GET", ""), ("PUT", ""), ("DELETE", ""), ("GET", "/code"), ("GET", "/revisions")):
            data = b"{}" if method == "PUT" else None
            reply = await hosted.call(method, f"/v2/programs/{name}{path}", data=data)
            assert (reply.status, reply.json()["code"]) == (404, 404), (method, name, path)


async def test_put_changes_the_fields_that_are_given_and_no_others(guest: Guest, program: UUID) -> None:
    path = PROGRAM.format(uuid=program)
    known = (await guest.call("GET", path)).json()
    changes: list[dict[str, Any]] = [
        {"name": "renamed"},
        {"type": "routine", "schedule": "@hourly"},
        {"state": "inactive"},
        {"state": "failed", "deadline": 60_000},
        {"deadline": 0, "tags": ["a", "b"]},
        {"tags": []},
        {"language": "tengo", "unknown": [1]},
        {},
        dict.fromkeys(NEW),
    ]
    for change in changes:
        assert (await guest.call("PUT", path, json=change)).status == 204, change
        known |= {name: value for name, value in change.items() if value is not None and name in known}
        assert (await guest.call("GET", path)).json() == known


WRONG: list[tuple[dict[str, Any], dict[str, Any], int, str]] = [
    # A program, a change that makes it wrong, the status of the change alone, and the field that is named.
    (NEW, {"deadline": 60_001}, 400, "deadline"),
    (NEW, {"deadline": "5"}, 400, "deadline"),
    (NEW, {"deadline": 1.5}, 400, "deadline"),
    (NEW, {"deadline": True}, 400, "deadline"),
    (NEW, {"deadline": 10**400}, 400, "deadline"),
    (NEW, {"type": "program"}, 400, "type"),
    (NEW, {"language": "lua"}, 400, "language"),
    (NEW, {"state": 1}, 400, "state"),
    (NEW, {"tags": [1]}, 400, "tags.0"),
    (NEW, {"tags": {}}, 400, "tags"),
    (NEW, {"name": "x" * 256}, 400, "name"),
    (NEW, {"schedule": "often"}, 400, "schedule"),
    (NEW, {"schedule": "0 0 0 31 4 *"}, 400, "schedule"),
    (NEW, {"type": "routine"}, 409, "schedule"),
    (NEW, {"type": "routine", "schedule": "TZ=UTC"}, 400, "schedule"),
    (NEW, {"type": "module", "name": "a@1"}, 400, "name"),
    (NEW | {"name": "http"}, {"type": "module"}, 409, "name"),
    (NEW | {"type": "module"}, {"name": "fmt"}, 400, "name"),
    (NEW | {"type": "module"}, {"name": "two\nlines"}, 400, "name"),
    (NEW | {"type": "module"}, {"name": "./file"}, 400, "name"),
    (NEW | {"type": "module"}, {"name": "os"}, 400, "name"),
]


async def test_a_wrong_field_is_named_when_it_is_set_and_when_it_is_changed(hosted: Guest) -> None:
    call = hosted.call
    for given, change, status, field in WRONG:
        created = await call("POST", "/v2/programs", json=given)
        assert created.status == 201, created.body
        path = f"/v2/programs/{created.json()['uuid']}"
        for method, where, body, expected in (
            ("POST", "/v2/programs", given | change, 400),
            ("PUT", path, change, status),
        ):
            reply = await call(method, where, json=body)
            assert reply.status == expected, (change, reply.body)
            assert reply.json()["message"].startswith(f"{field}: ")
        assert (await call("GET", path)).json() == created.json()


async def test_bodies_that_are_no_json_objects_are_refused(guest: Guest, program: UUID) -> None:
    path = PROGRAM.format(uuid=program)
    for body in (
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"{",
        b'{"name": NaN}',
        b'{"deadline": Infinity}',
        b'{"name": "\\ud800"}',
        b'{"name": "\xed\xa0\x80"}',
        b'{"name": "\xff"}',
        b'{"name": "\\u0000"}',
        b'{"name": ' + b"[" * 30_000,
        b'{"tags": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        b'{"deadline": ' + b"9" * 30_000 + b"}",
    ):
        for method, where in (("POST", "/v2/programs"), ("PUT", path)):
            reply = await guest.call(method, where, data=body)
            assert (reply.status, reply.json()["code"]) == (400, 400), body[:40]
    # Of two values for one name the last counts, as in most readers of JSON.
    assert (await guest.call("PUT", path, data=b'{"name": "first", "name": "last"}')).status == 204
    assert (await guest.call("GET", path)).json()["name"] == "last"


async def raw(installation: Installation, request: bytes, *, cut: bool = False) -> bytes:
    """What the manager answers to these bytes; with ``cut`` the connection is broken off instead."""
    reader, writer = await asyncio.open_connection("127.0.0.1", installation.manager_port)
    writer.write(request)
    await writer.drain()
    if cut:
        writer.transport.abort()
        return b""
    async with asyncio.timeout(10):
        answer = await reader.read(64 * 1024)
    writer.close()
    return answer


def upload(guest: Guest, program: UUID, headers: str) -> bytes:
    credentials = f"Authorization: {BasicCredentials(guest.own_domain, 'root').header()}"
    return f"POST /v2/programs/{program}/code HTTP/1.1\r\nHost: x\r\n{credentials}\r\n{headers}\r\n\r\n".encode()


async def test_code_is_measured_before_it_is_read(guest: Guest, program: UUID) -> None:
    path = f"/v2/programs/{program}/code"
    assert (await guest.call("POST", path, data=b"/" * LIMIT)).status == 201
    assert (await guest.call("POST", path, data=b"/" * (LIMIT + 1))).status == 413
    assert (await guest.call("POST", path, data=b"")).status == 400
    # Nothing of the body is sent, and the answer comes all the same.
    assert (await raw(guest, upload(guest, program, f"Content-Length: {10 * LIMIT}"))).startswith(b"HTTP/1.1 413 ")
    chunked = upload(guest, program, "Transfer-Encoding: chunked") + b"1\r\nx\r\n0\r\n\r\n"
    assert (await raw(guest, chunked)).startswith(b"HTTP/1.1 411 ")
    assert len((await guest.call("GET", f"/v2/programs/{program}/revisions")).json()) == 2


async def test_an_upload_that_is_cut_off_leaves_nothing(guest: Guest, program: UUID) -> None:
    for _ in range(5):
        await raw(guest, upload(guest, program, "Content-Length: 1000") + b"half of it", cut=True)
    number = (await guest.call("POST", f"/v2/programs/{program}/code", data=b"whole")).json()["revision"]
    assert number == 1
    assert len((await guest.call("GET", f"/v2/programs/{program}/revisions")).json()) == 2


async def test_a_caller_who_goes_away_leaves_all_or_nothing(guest: Guest, program: UUID) -> None:
    whole = upload(guest, program, "Content-Length: 5") + b"whole"
    await asyncio.gather(*[raw(guest, whole, cut=True) for _ in range(20)])
    added = await guest.call("POST", f"/v2/programs/{program}/code", data=b"last")
    revisions = (await guest.call("GET", f"/v2/programs/{program}/revisions")).json()
    assert [revision["revision"] for revision in revisions] == list(range(len(revisions)))
    assert added.json()["revision"] >= 1


async def test_revisions_that_are_uploaded_and_signed_at_once_are_distinct_and_without_gaps(
    guest: Guest, program: UUID
) -> None:
    path = f"/v2/programs/{program}"

    async def upload_and_sign(number: int) -> int:
        added = await guest.call("POST", f"{path}/code", data=f"x := {number}".encode())
        assert added.status == 201, added.body
        revision: int = added.json()["revision"]
        signed = await guest.call("PUT", f"{path}/revisions/{revision}/sign?force=true")
        assert signed.status == 204, signed.body
        return revision

    numbers = await asyncio.gather(*[upload_and_sign(number) for number in range(30)])
    assert sorted(numbers) == list(range(1, 31))
    revisions = (await guest.call("GET", f"{path}/revisions")).json()
    assert all(revision["signed"] for revision in revisions)
    # The number of a newest revision that was deleted is given again, as the Go server does.
    assert (await guest.call("DELETE", f"{path}/revisions/30")).status == 204
    assert (await guest.call("POST", f"{path}/code", data=b"x")).json()["revision"] == 30

"""`/v2/programs`: what a user does with curl."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from tests.support.installation import Domain
from tests.support.standing import Guest

NEW: dict[str, Any] = {
    "name": "hello",
    "type": "webhook",
    "state": "active",
    "schedule": "",
    "deadline": 1000,
    "language": "tengo",
    "tags": ["mine"],
}
CODE = b'cgi := import("cgi")\ncgi.response.write("hello")\n'


async def test_a_program_is_created_given_code_signed_called_changed_and_deleted(guest: Guest, domain: Domain) -> None:
    await guest.start()
    created = await guest.call("POST", "/v2/programs", json=NEW)
    assert created.status == 201, created.body
    program = created.json()
    uuid = program.pop("uuid")
    assert program == NEW
    path = f"/v2/programs/{uuid}"
    assert (await guest.call("GET", path)).json() == {"uuid": uuid, **NEW}
    assert (await guest.call("GET", f"{path}/code")).status == 404
    uploaded = await guest.call("POST", f"{path}/code", data=CODE)
    assert uploaded.status == 201
    assert uploaded.json()["revision"] == 0
    assert uploaded.json()["signed"] is None
    assert (await guest.call("POST", f"{path}/webhook")).status == 404
    assert (await guest.call("PUT", f"{path}/revisions/0/sign")).status == 204
    assert (await guest.call("GET", f"{path}/code")).body == CODE
    assert (await guest.call("POST", f"{path}/webhook")).body == b"hello"
    await guest.call("POST", f"{path}/code", data=CODE.replace(b"hello", b"bye"))
    (first, second) = (await guest.call("GET", f"{path}/revisions")).json()
    assert (first["revision"], second["revision"]) == (0, 1)
    assert len(first["checksum"]) == 64
    diff = await guest.call("GET", f"{path}/diff?rev_a=0&rev_b=-1")
    assert b'-cgi.response.write("hello")\n+cgi.response.write("bye")\n' in diff.body
    assert (await guest.call("DELETE", f"{path}/revisions/1")).status == 204
    assert (await guest.call("PUT", path, json={"state": "inactive"})).status == 204
    assert (await guest.call("GET", path)).json()["state"] == "inactive"
    assert (await guest.call("POST", f"{path}/webhook")).status == 404
    assert (await guest.call("DELETE", path)).status == 204
    assert (await guest.call("GET", path)).status == 404


async def test_programs_are_listed_by_name_with_pages_and_tags(guest: Guest, domain: Domain) -> None:
    await guest.start()
    for name in ("c", "a", "b"):
        await guest.call("POST", "/v2/programs", json=NEW | {"name": name, "tags": [name]})

    async def names(query: str) -> list[str]:
        return [program["name"] for program in (await guest.call("GET", f"/v2/programs{query}")).json()]

    assert await names("") == ["a", "b", "c"]
    assert await names("?limit=2") == ["a", "b"]
    assert await names("?limit=2&offset=2") == ["c"]
    assert await names("?tags=a&tags=c") == ["a", "c"]
    assert await names("?tags=none") == []
    for query in ("?limit=0", "?limit=x", "?offset=-1", "?limit=100000"):
        reply = await guest.call("GET", f"/v2/programs{query}")
        assert (reply.status, reply.json()["code"]) == (400, 400)


WRONG: Sequence[tuple[dict[str, object], str]] = [
    ({"type": "daemon"}, "type"),
    ({"state": "on"}, "state"),
    ({"deadline": -1}, "deadline"),
    ({"deadline": 60_001}, "deadline"),
    ({"deadline": "soon"}, "deadline"),
    ({"language": "lua"}, "language"),
    ({"name": ""}, "name"),
    ({"name": "nul\0"}, "name"),
    ({"name": None}, "name"),
    ({"tags": "a"}, "tags"),
    ({"type": "routine", "schedule": "often"}, "schedule"),
    ({"type": "routine", "schedule": "0 0 0 30 2 *"}, "schedule"),
]


async def test_a_program_with_a_wrong_field_is_refused_with_the_field_s_name(hosted: Guest) -> None:
    for change, fault in WRONG:
        reply = await hosted.call("POST", "/v2/programs", json=NEW | change)
        assert reply.status == 400, (change, reply.body)
        assert reply.json()["message"].startswith(fault), change


async def test_bad_requests_are_refused_as_json(hosted: Guest) -> None:
    call = hosted.call
    unknown = f"/v2/programs/{uuid4()}"
    cases = [
        (await call("POST", "/v2/programs", data=b"{nonsense"), 400),
        (await call("POST", "/v2/programs", data=b"[" * 70_000), 413),
        (await call("POST", "/v2/programs", json={}), 400),
        (await call("POST", "/v2/programs", json=NEW, token="wrong"), 401),
        (await call("POST", "/v2/programs", json=NEW, domain="nobody"), 401),
        (await call("POST", "/v2/programs", json=NEW, token=None), 401),
        (await call("PATCH", "/v2/programs"), 405),
        (await call("GET", unknown), 404),
        (await call("PUT", unknown, json={}), 404),
        (await call("DELETE", unknown), 404),
        (await call("GET", "/v2/programs/nonsense"), 404),
        (await call("GET", f"{unknown}/code"), 404),
        (await call("POST", f"{unknown}/code", data=b"x"), 404),
        (await call("GET", f"{unknown}/revisions"), 404),
        (await call("PUT", f"{unknown}/revisions/0/sign"), 404),
        (await call("PUT", f"{unknown}/revisions/x/sign"), 404),
        (await call("GET", f"{unknown}/runs"), 404),
        (await call("GET", f"{unknown}/runs/1"), 404),
        (await call("GET", "/v2/nonsense"), 404),
    ]
    for reply, status in cases:
        assert reply.status == status, reply.body
        assert reply.json()["code"] == status
        assert reply.json()["message"]


async def test_code_needs_a_length_and_fits_into_a_mebibyte(hosted: Guest) -> None:
    created = await hosted.call("POST", "/v2/programs", json=NEW)
    path = f"/v2/programs/{created.json()['uuid']}/code"
    limit = 1024 * 1024
    assert (await hosted.call("POST", path, data=b"/" * limit)).status == 201
    assert (await hosted.call("POST", path, data=b"/" * (limit + 1))).status == 413


async def test_the_openapi_document_names_every_call(hosted: Guest) -> None:
    reply = await hosted.call("GET", "/openapi3.json", token=None)
    document = reply.json()
    assert document["openapi"].startswith("3.")
    assert set(document["paths"]) >= {
        "/v1/subscribers",
        "/v1/subscribers/{uuid}",
        "/v1/subscribers/{uuid}/load",
        "/v1/library",
        "/v1/webhooks/{domain}/{uuid}",
        "/v2/programs",
        "/v2/programs/{uuid}/webhook",
        "/v2/programs/{uuid}/runs",
        "/healthz",
        "/readyz",
        "/openapi3.json",
    }
    references = {part.split('"')[0] for part in reply.body.decode().split('"#/components/schemas/')[1:]}
    assert references <= set(document["components"]["schemas"])

"""Who may do what through the API: tokens, groups and policies as the Go API server has them."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from juvuln.database import transaction
from juvuln.domains.tables import group_policies
from tests.support.installation import Domain, Installation
from tests.support.people import add_group, add_rule, add_user, forget
from tests.support.standing import Guest
from tests.support.waiting import until

NEW = {"name": "new", "type": "webhook", "state": "active", "schedule": "", "deadline": 1000, "language": "tengo"}


async def test_each_call_needs_what_the_contract_says_and_nothing_more(
    installation: Installation, domain: Domain
) -> None:
    uuid = await domain.add("p", "x := 1")
    await domain.revise(uuid, "x := 2")
    await installation.manager(ACCESS__CACHE_SECONDS="0").start()
    one = f"/v2/programs/{uuid}"
    needs = [
        ("GET", one, "read", f"programs/{uuid}", 200),
        ("PUT", one, "update", f"programs/{uuid}", 204),
        ("GET", f"{one}/code", "read", f"programs/{uuid}/code", 200),
        ("POST", f"{one}/code", "create", f"programs/{uuid}/code", 201),
        ("GET", f"{one}/revisions", "read", f"programs/{uuid}/revisions", 200),
        ("GET", f"{one}/diff?rev_a=0&rev_b=1", "read", f"programs/{uuid}/revisions/diff", 200),
        ("PUT", f"{one}/revisions/1/sign?force=true", "update", f"programs/{uuid}/revisions/1", 204),
        ("DELETE", f"{one}/revisions/1", "delete", f"programs/{uuid}/revisions/1", 204),
        ("DELETE", one, "delete", f"programs/{uuid}", 204),
        ("POST", "/v2/programs", "create", "programs", 201),
    ]
    for number, (method, path, action, resource, status) in enumerate(needs):
        body = {"PUT": b"{}", "POST": b"x := 3"}.get(method)
        if path == "/v2/programs":
            body = b'{"name":"n","type":"module","state":"active","deadline":0,"language":"tengo"}'
        lacking, having = f"lacking{number}", f"having{number}"
        rest = [("allow", each, "%") for each in ("create", "read", "update", "delete") if each != action]
        await add_user(domain, lacking, [*rest, ("allow", action, resource + "/%"), ("allow", action, resource[:-1])])
        await add_user(domain, having, [("allow", action, resource)])
        refused = await installation.call(method, path, token=lacking, data=body)
        assert refused.status == 403, (method, path)
        assert refused.json()["message"] == f"no policy lets you {action} {resource}"
        assert (await installation.call(method, path, token=having, data=body)).status == status, (method, path)


async def test_a_deny_wins_whatever_its_priority_and_only_what_may_be_read_is_listed(
    guest: Guest, domain: Domain
) -> None:
    uuids = [await domain.add(name, "x := 1") for name in ("a", "b", "c")]
    ada = await add_user(domain, "ada", [("allow", "read", "programs/%")])
    await add_rule(domain, ada, "deny", "read", f"programs/{uuids[1]}", priority=-100)
    await add_rule(domain, ada, "allow", "read", f"programs/{uuids[1]}", priority=100)
    await add_user(domain, "nobody")
    literal = str(uuids[2]).replace("-", "_", 1)
    await add_user(domain, "some", [("allow", "read", f"programs/{literal}"), ("allow", "read", r"programs\%")])
    await guest.start()

    async def names(token: str, query: str = "") -> list[str]:
        reply = await guest.call("GET", f"/v2/programs{query}", token=token)
        assert reply.status == 200
        return [program["name"] for program in reply.json()]

    assert await names("root") == ["a", "b", "c"]
    assert await names("ada") == ["a", "c"]
    assert await names("ada", "?limit=1&offset=1") == ["c"]
    assert await names("nobody") == []
    assert await names("some") == ["c"]


async def test_a_new_program_s_rights_go_to_the_creator_s_own_group(installation: Installation, domain: Domain) -> None:
    ada = await add_user(domain, "ada", [("allow", "create", "programs")])
    bob = await add_user(domain, "bob", own_group=False)
    crew = uuid4()
    await add_group(domain, crew, "crew", [ada, bob], [("allow", "create", "programs")])
    named = await add_user(domain, "eve", own_group=False)
    await add_group(domain, named_group := uuid4(), "eve", [named], [("allow", "create", "programs")])
    await installation.manager(ACCESS__CACHE_SECONDS="60").start()

    async def owners(token: str) -> set[UUID]:
        created = await installation.call("POST", "/v2/programs", json=NEW, token=token)
        assert created.status == 201, created.body
        resource = f"programs/{created.json()['uuid']}/%"
        async with transaction(domain.store._engine, "test") as connection:
            rows = (await connection.execute(select(group_policies).where(group_policies.c.resource == resource))).all()
        assert len(rows) in (0, 4)
        path = f"/v2/programs/{created.json()['uuid']}"
        # At once, and as in the Go server not for the program itself.
        assert (await installation.call("GET", f"{path}/revisions", token=token)).status == (200 if rows else 403)
        assert (await installation.call("GET", path, token=token)).status == 403
        return {row.group_uuid for row in rows}

    assert await owners("ada") == {ada}
    assert await owners("eve") == {named_group}
    assert await owners("bob") == set()


@pytest.mark.parametrize("what", ["tokens", "memberships", "user"])
async def test_what_is_taken_away_stops_within_the_time_that_is_configured(
    guest: Guest, domain: Domain, what: str
) -> None:
    uuid = await domain.add("p", "x := 1")
    ada = await add_user(domain, "ada", [("allow", "read", "%")])
    await guest.start()

    async def status() -> int:
        return (await guest.call("GET", f"/v2/programs/{uuid}", token="ada")).status

    assert await status() == 200
    await forget(domain, what, ada)

    async def stopped() -> bool:
        return await status() == (403 if what == "memberships" else 401)

    await until(stopped, f"a user without {what} is refused", limit_seconds=2)


async def test_a_changed_policy_counts_within_the_time_that_is_configured(guest: Guest, domain: Domain) -> None:
    uuid = await domain.add("p", "x := 1")
    ada = await add_user(domain, "ada", [("allow", "read", "%")])
    await guest.start()
    path = f"/v2/programs/{uuid}"
    assert (await guest.call("GET", path, token="ada")).status == 200
    await add_rule(domain, ada, "deny", "read", "programs/%")

    async def refused() -> bool:
        return (await guest.call("GET", path, token="ada")).status == 403

    await until(refused, "the new policy counts", limit_seconds=2)


async def test_an_unknown_domain_and_a_wrong_token_get_the_same_answer(guest: Guest, domain: Domain) -> None:
    await guest.start()
    replies = [
        await guest.call("GET", "/v2/programs", domain=name, token=token)
        for name, token in (
            (domain.name, "wrong"),
            ("nowhere", "root"),
            ("", ""),
            (domain.name, ""),
            ("%", "root\0"),
            ("å", "å"),
        )
    ]
    assert {reply.status for reply in replies} == {401}
    assert len({reply.body for reply in replies}) == 1
    assert {reply.headers["WWW-Authenticate"].split("=")[0] for reply in replies} == {"Basic realm"}
    for header in ("Basic", "Basic !", "Basic dGVzdA==", "Bearer root", "Basic " + "A" * 4000, "Basic /////w=="):
        reply = await guest.call("GET", "/v2/programs", token=None, headers={"Authorization": header})
        assert (reply.status, reply.headers["WWW-Authenticate"][:6]) == (401, "Basic ")

"""Who calls too often is told when to come again."""

import asyncio
from uuid import uuid4

from tests.support.installation import Domain, Installation, Reply


async def test_a_domain_that_calls_too_often_is_refused_and_others_are_not(
    installation: Installation, domain: Domain
) -> None:
    await installation.add_domain("other")
    await installation.manager(LIMITS__RATE__DOMAIN_PER_SECOND="0.1", LIMITS__RATE__DOMAIN_BURST="3").start()
    replies = [await installation.call("GET", "/v2/programs") for _ in range(4)]
    assert [reply.status for reply in replies] == [200, 200, 200, 429]
    assert 1 <= int(replies[-1].headers["Retry-After"]) <= 10
    assert replies[-1].json() == {"code": 429, "message": "too many calls of this domain; try again later"}
    assert (await installation.call("GET", "/v2/programs", domain="other")).status == 200
    # A stranger does not use up what the domain may call.
    assert (await installation.call("GET", "/v2/programs", domain="other", token="wrong")).status == 401
    # Webhooks are bounded by how many are under way.
    assert (await installation.webhook(uuid4())).status == 404


async def test_an_address_that_calls_too_often_is_refused_and_a_trusted_proxy_tells_addresses_apart(
    installation: Installation, domain: Domain
) -> None:
    rate = {"LIMITS__RATE__ADDRESS_PER_SECOND": "0.1", "LIMITS__RATE__ADDRESS_BURST": "2"}
    await installation.manager(**rate, LISTEN__TRUSTED_PROXIES='["127.0.0.1"]').start()

    async def call(address: str | None) -> Reply:
        headers = {} if address is None else {"X-Forwarded-For": address}
        return await installation.call("GET", "/v2/programs", headers=headers)

    assert [(await call(None)).status for _ in range(3)] == [200, 200, 429]
    assert [(await call("192.0.2.1")).status for _ in range(3)] == [200, 200, 429]
    assert (await call("192.0.2.2")).status == 200


async def test_wrong_credentials_are_soon_refused_without_being_looked_up(
    installation: Installation, domain: Domain
) -> None:
    rate = {"LIMITS__RATE__FAILURES_PER_SECOND": "0.1", "LIMITS__RATE__FAILURES_BURST": "3"}
    await installation.manager(**rate).start()
    assert (await installation.call("GET", "/v2/programs")).status == 200
    secret = (installation.folder / "secret").read_text(encoding="utf-8").strip()
    library = "/v1/library?domain=test&module=m&language=tengo&revision=latest"
    wrong = [
        await installation.call("GET", "/v2/programs", token="wrong"),
        await installation.call("GET", library, bearer="wrong"),
        await installation.webhook(uuid4(), domain="nosuch"),
    ]
    assert [reply.status for reply in wrong] == [401] * 3
    refused = await asyncio.gather(
        installation.call("GET", "/v2/programs", token="wrong"),
        installation.call("GET", library, bearer="wrong"),
        installation.call("POST", f"/v1/webhooks/test/{uuid4()}", token="wrong"),
        installation.webhook(uuid4(), domain="nosuch"),
    )
    assert [reply.status for reply in refused] == [429] * 4
    assert all(1 <= int(reply.headers["Retry-After"]) <= 10 for reply in refused)
    assert (await installation.call("GET", library, bearer=secret)).status == 404
    # A token that was right a moment ago is not one that is guessed.
    assert (await installation.call("GET", "/v2/programs")).status == 200
    # To be asked for credentials is no failure.
    assert (await installation.call("GET", library, token=None)).status == 401

"""Pages of programs that stay put while programs come and go; texts of every kind, stored as they are or refused."""

import asyncio
import json
from datetime import UTC, datetime
from uuid import UUID, uuid4

from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from juvuln.database import open_engine
from juvuln.domains.create import ROOT_UUID, create_domain
from juvuln.domains.listing import Position
from juvuln.domains.store import DomainStore, Specification
from tests.support.databases import DatabaseServer
from tests.support.installation import Domain, Installation
from tests.support.people import add_user
from tests.support.standing import Guest

NEW = {"name": "new", "type": "webhook", "state": "active", "schedule": "", "deadline": 1000, "language": "tengo"}
NAMES = ["a", "A", "ä", "Z", "z", "", " ", "a b", "a%", "a_", "😀", "‮x", "\x7f", "aa", "a\n", "é", "é", "ß", "SS"]


async def follow_pages(installation: Installation, query: str, token: str = "root") -> list[str]:
    """The uuids of all pages, as whoever follows their links sees them."""
    seen: list[str] = []
    path: str | None = f"/v2/programs{query}"
    while path:
        reply = await installation.call("GET", path, token=token)
        assert reply.status == 200, reply.body
        seen += [program["uuid"] for program in reply.json()]
        path = next_page(reply.headers.get("Link"))
    return seen


def next_page(link: str | None) -> str | None:
    if link is None:
        return None
    url, _, relation = link.partition(">; ")
    assert relation == 'rel="next"'
    return url.removeprefix("<")


async def test_following_the_links_sees_every_program_once_while_others_come_and_go(
    guest: Guest, domain: Domain
) -> None:
    stay = [str(await domain.add(name or "none", "x := 1")) for name in NAMES * 2]
    go = [await domain.add(f"{name}-", "x := 1") for name in NAMES]
    hidden = await domain.add("hidden", "x := 1")
    await add_user(domain, "ada", [("allow", "read", "programs/%"), ("deny", "read", f"programs/{hidden}")])
    await guest.start()

    async def come_and_go() -> None:
        for number, uuid in enumerate(go):
            await domain.store.delete_program(uuid)
            await domain.add(f"{NAMES[-number]}+", "x := 1")

    changing = asyncio.create_task(come_and_go())
    for query, token in (("?limit=3", "root"), ("?limit=2", "ada"), ("", "ada"), ("?limit=3&offset=0", "root")):
        seen = await follow_pages(guest, query, token)
        assert len(seen) == len(set(seen))
        assert set(stay) <= set(seen)
    await changing
    everything = (await guest.call("GET", "/v2/programs?limit=1000")).json()
    order = [(program["name"], program["uuid"]) for program in everything]
    assert order == sorted(order)
    assert "hidden" not in {
        program["name"] for program in (await guest.call("GET", "/v2/programs", token="ada")).json()
    }


async def test_links_keep_to_the_tags_and_what_is_no_link_of_ours_is_refused(guest: Guest, domain: Domain) -> None:
    await guest.start()
    odd = ["%", "_", "a,b", "ä", "😀", "'; DROP TABLE programs; --", "&tags=x", '"', "\\", "[]", "null"]
    for tag in odd:
        await guest.call("POST", "/v2/programs", json=NEW | {"name": f"one {tag}", "tags": [tag]})
        await guest.call("POST", "/v2/programs", json=NEW | {"name": f"two {tag}", "tags": [tag, "more"]})
    for tag in odd:
        query = str(URL.build(path="/", query={"limit": "1", "tags": tag})).lstrip("/")
        assert len(await follow_pages(guest, query)) == 2, tag
    assert len(await follow_pages(guest, "?limit=5&tags=%25&tags=more")) == len(odd) + 1
    await guest.call("POST", "/v2/programs", json=NEW | {"name": "one %"})
    assert len(await follow_pages(guest, "?limit=1&name=one%20%25")) == 2
    assert len(await follow_pages(guest, "?limit=1&name=one%20%25&tags=%25")) == 1
    for wrong in (
        "after=",
        "after=x",
        f"after={uuid4()}",
        f"after={uuid4()}/%00",
        "tags=%00",
        "name=%00",
        "name=a&name=b",
        "limit=1.0",
        "offset=%2B1",
    ):
        assert (await guest.call("GET", f"/v2/programs?{wrong}")).status == 400, wrong


def test_any_page_is_a_piece_of_the_whole_list(databases: DatabaseServer) -> None:
    with asyncio.Runner() as runner:
        store = runner.run(_filled(databases))
        everything = runner.run(store.programs(limit=1000))
        names = st.sampled_from([program.name for program in everything]) | st.text(
            st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5
        )

        @settings(max_examples=60, deadline=None)
        @given(limit=st.integers(1, 50), offset=st.integers(0, 50), name=names, uuid=st.uuids(), few=st.booleans())
        def check(limit: int, offset: int, name: str, uuid: UUID, few: bool) -> None:
            after = Position(name, uuid)
            may_read = (lambda each: each.int % 3 == 0) if few else None
            page = runner.run(store.programs(limit=limit, offset=offset, after=after, may_read=may_read))
            rest = [
                each
                for each in everything
                if (each.name, each.uuid) > (name, uuid) and (may_read is None or may_read(each.uuid))
            ]
            assert page == rest[offset : offset + limit]

        try:
            check()
        finally:
            runner.run(store.close())


async def _filled(databases: DatabaseServer) -> DomainStore:
    engine = open_engine(await databases.create(), create=True)
    await create_domain(engine, "test", datetime.now(UTC))
    store = DomainStore("test", engine)
    for name in NAMES * 2:
        specification = Specification(uuid4(), name, "webhook", "active", "", 0, "tengo", ())
        await store.create_program(specification, [ROOT_UUID], uuid4)
    return store


async def test_texts_of_every_kind_come_back_as_they_are_or_are_refused(guest: Guest, domain: Domain) -> None:
    await guest.start()
    texts = st.one_of(
        st.text(max_size=300),
        st.sampled_from(
            ["'; DELETE FROM programs; --", "%s%s", "{0}", "\r\nX-Injected: 1", "\ud800", "\0", "‮🦉", "\\x00", "$1"]
        ),
    )
    cases: list[tuple[str, str, str]] = []

    @settings(max_examples=40, deadline=None, database=None, derandomize=True)
    @given(texts, texts, texts)
    def collect(name: str, tag: str, schedule: str) -> None:
        cases.append((name, tag, schedule))

    collect()
    for name, tag, schedule in cases:
        body = json.dumps(NEW | {"name": name, "tags": [tag], "schedule": schedule}).encode()
        reply = await guest.call("POST", "/v2/programs", data=body)
        assert reply.status in (201, 400), reply.body
        assert "X-Injected" not in reply.headers
        body = json.dumps(NEW | {"name": name, "tags": [tag]}).encode()
        reply = await guest.call("POST", "/v2/programs", data=body)
        if reply.status == 201:
            assert (reply.json()["name"], reply.json()["tags"]) == (name, [tag])
            path = f"/v2/programs/{reply.json()['uuid']}"
            assert (await guest.call("GET", path)).json() == reply.json()
            query = str(URL.build(path="/", query={"tags": tag})).lstrip("/")
            assert reply.json() in (await guest.call("GET", f"/v2/programs{query}&limit=1000")).json()
            code = await guest.call("POST", f"{path}/code", data=(name + tag).encode())
            assert (await guest.call("GET", f"{path}/code?revision=0")).body == (name + tag).encode(), code.body
        else:
            assert reply.status == 400, reply.body
    assert (await guest.call("GET", "/v2/programs")).status == 200

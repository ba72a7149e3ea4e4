"""New code: it takes over when it is signed, and only then."""

import asyncio

from tests.support.installation import Domain, Installation
from tests.support.standing import Guest
from tests.support.waiting import until


def answering(text: str) -> str:
    return f'cgi := import("cgi")\ncgi.response.write("{text}")\n'


async def test_a_signed_revision_takes_over_within_two_refreshes_and_an_unsigned_one_never_runs(
    guest: Guest, domain: Domain
) -> None:
    uuid = await domain.add("version", answering("zero"))
    await guest.start()
    assert (await guest.webhook(uuid)).body == b"zero"
    await domain.revise(uuid, answering("unsigned"), signed=False)
    await domain.revise(uuid, answering("two"))

    async def taken_over() -> bool:
        reply = await guest.webhook(uuid)
        assert reply.body in (b"zero", b"two")
        return reply.body == b"two"

    await until(taken_over, "the new revision runs", limit_seconds=2 * guest.refresh_seconds + 1)
    await domain.revise(uuid, answering("unsigned"), signed=False)
    await asyncio.sleep(2 * guest.refresh_seconds)  # the time that passes is what is meant
    assert (await guest.webhook(uuid)).body == b"two"
    runs = await guest.until_runs(uuid, 3)
    assert {run["revision"] for run in runs} == {0, 2}


async def test_what_is_signed_through_the_api_runs_at_once(installation: Installation, domain: Domain) -> None:
    installation.refresh_seconds = 60
    uuid = await domain.add("version", answering("zero"))
    await installation.start()
    assert (await installation.webhook(uuid)).body == b"zero"
    upload = await installation.call("POST", f"/v2/programs/{uuid}/code", data=answering("one").encode())
    assert upload.status == 201
    assert upload.json()["revision"] == 1
    assert (await installation.webhook(uuid)).body == b"zero"
    assert (await installation.call("PUT", f"/v2/programs/{uuid}/revisions/1/sign")).status == 204
    assert (await installation.webhook(uuid)).body == b"one"


MODULE = 'export {{version: {0}, name: func() {{ return "module {0}" }}}}'


async def test_each_import_gets_the_revision_that_it_names(guest: Guest, domain: Domain) -> None:
    module = await domain.add("mod", MODULE.format(0), kind="module")
    await domain.revise(module, MODULE.format(1))
    await domain.revise(module, MODULE.format(2), signed=False)
    await domain.add("väder i dag", 'inner := import("mod@0")\nexport {inside: inner.version}', kind="module")
    code = """
cgi := import("cgi")
fmt := import("fmt")
a := import("mod@0")
b := import("mod@1")
c := import("mod@latest")
d := import("mod")
outer := import("väder i dag")
cgi.response.write(fmt.sprintf("%d %d %d %d %d %s", a.version, b.version, c.version, d.version, outer.inside, b.name()))
"""
    uuid = await domain.add("importer", code)
    await guest.start()
    reply = await guest.webhook(uuid)
    assert reply.body == b"0 1 1 1 0 module 1", reply.body
    await guest.call("PUT", f"/v2/programs/{module}/revisions/2/sign")

    async def latest() -> bool:
        return (await guest.webhook(uuid)).body == b"0 1 2 2 0 module 1"

    await until(latest, "the newly signed revision is the latest")
    (run, *_) = await guest.runs(uuid)
    assert {(module["name"], module["revision"]) for module in run["modules"]} >= {("mod@0", 0), ("mod@1", 1)}


async def test_an_import_that_cannot_be_had_is_named_with_its_place(guest: Guest, domain: Domain) -> None:
    module = await domain.add("mod", MODULE.format(0), kind="module", signed=False)
    unsigned = await domain.add("a", 'x := 1\nm := import("mod")\n')
    missing = await domain.add("b", 'm := import("nothing@7")\n')
    forbidden = await domain.add("c", 'os := import("os")\n')
    await guest.start()
    assert module
    for uuid, name, place in ((unsigned, "mod", "a:2:6"), (missing, "nothing@7", "b:1:6"), (forbidden, "os", "c:1:7")):
        reply = await guest.webhook(uuid)
        assert reply.status == 500
        assert name in reply.json()["message"]
        assert place in reply.json()["message"], reply.json()


async def test_the_code_of_each_revision_can_be_read_signed_or_not(guest: Guest, domain: Domain) -> None:
    uuid = await domain.add("version", "zero := 0")
    await domain.revise(uuid, "one := 1", signed=False)
    await guest.start()
    expected = {"": b"zero := 0", "?revision=0": b"zero := 0", "?revision=1": b"one := 1", "?revision=-1": b"one := 1"}
    for query, code in expected.items():
        reply = await guest.call("GET", f"/v2/programs/{uuid}/code{query}")
        assert (reply.status, reply.body) == (200, code), query
    statuses = {"?revision=2": 404, "?revision=-2": 400, "?revision=one": 400}
    for query, status in statuses.items():
        assert (await guest.call("GET", f"/v2/programs/{uuid}/code{query}")).status == status, query


async def test_a_module_that_is_signed_through_the_api_is_used_at_once(
    installation: Installation, domain: Domain
) -> None:
    installation.refresh_seconds = 60
    module = await domain.add("mod", MODULE.format(0), kind="module")
    code = 'cgi := import("cgi")\ncgi.response.write(import("mod").name())\n'
    uuid = await domain.add("importer", code)
    await installation.manager().start()
    await installation.worker(CACHE__LIBRARY_TIMEOUT="3600").start()
    await installation.until_ready()
    assert (await installation.webhook(uuid)).body == b"module 0"
    for number in (1, 2):
        code = MODULE.format(number)
        await installation.call("POST", f"/v2/programs/{module}/code", data=code.encode())
        assert (await installation.call("PUT", f"/v2/programs/{module}/revisions/{number}/sign")).status == 204
        assert (await installation.webhook(uuid)).body == f"module {number}".encode()
    assert (await installation.call("PUT", f"/v2/programs/{module}", json={"state": "inactive"})).status == 204
    assert (await installation.webhook(uuid)).status == 500

"""Signing compiles first, against the modules that the program's runs would use."""

import asyncio
import resource
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from juvuln.database import transaction
from juvuln.domains.tables import programs
from tests.support.installation import Domain, Installation, Reply
from tests.support.processes import children
from tests.support.standing import Guest

BROKEN = 'log := import("log")\nlog.info(nothing)\n'
MODULE = "export {{version: {0}}}"


async def sign(
    installation: Installation, uuid: UUID, revision: int = 0, query: str = "", token: str = "root"
) -> Reply:
    return await installation.call("PUT", f"/v2/programs/{uuid}/revisions/{revision}/sign{query}", token=token)


async def signed(domain: Domain, uuid: UUID) -> list[bool]:
    return [revision.signed is not None for revision in await domain.store.revisions(uuid)]


async def test_code_that_does_not_compile_is_refused_with_its_place_unless_it_is_forced(
    hosted: Guest, domain: Domain
) -> None:
    uuid = await domain.add("greet", BROKEN, signed=False)
    reply = await sign(hosted, uuid)
    assert reply.status == 422
    error = {"kind": "compile", "message": "unresolved reference 'nothing'", "stack": ["greet:2:10"]}
    assert reply.json() == {
        "code": 422,
        "message": "greet:2:10: compile error: unresolved reference 'nothing'; "
        "not signed (?force=true signs it nevertheless)",
        "error": error,
    }
    assert await signed(domain, uuid) == [False]
    assert (await sign(hosted, uuid, query="?force=yes")).status == 400
    assert (await sign(hosted, uuid, query="?force=false")).status == 422
    assert (await sign(hosted, uuid, query="?force=true")).status == 204
    assert await signed(domain, uuid) == [True]


async def test_what_is_signed_already_stays_as_it_is(hosted: Guest, domain: Domain) -> None:
    uuid = await domain.add("greet", BROKEN)
    before = await domain.store.revisions(uuid)
    for query in ("", "?force=true"):
        assert (await sign(hosted, uuid, query=query)).status == 204
    assert await domain.store.revisions(uuid) == before


async def test_a_program_is_compiled_against_the_modules_that_it_would_use(hosted: Guest, domain: Domain) -> None:
    module = await domain.add("mod", MODULE.format(0), kind="module")
    await domain.revise(module, "export import(`inner`)")
    await domain.revise(module, "export broken", signed=False)
    code = 'a := import("mod@0")\nb := import("mod@latest")\nc := import("mod")\n'
    uuid = await domain.add("importer", code, signed=False)
    reply = await sign(hosted, uuid)
    assert reply.status == 422
    assert "there is no active tengo module inner@latest that is signed" in reply.json()["message"]
    assert reply.json()["error"]["stack"] == ["mod@latest:1:8", "importer:2:6"]
    await domain.add("inner", "export 1", kind="module")
    assert (await sign(hosted, uuid)).status == 204


@pytest.mark.parametrize("imported", ["nothing@7", "mod@1", "mod@99999999999", "a@b@c", "sleeping", "os"])
async def test_a_module_that_cannot_be_had_is_named_with_its_importing_place(
    hosted: Guest, domain: Domain, imported: str
) -> None:
    module = await domain.add("mod", MODULE.format(0), kind="module")
    await domain.revise(module, MODULE.format(1), signed=False)
    await domain.add("sleeping", MODULE.format(0), kind="module", state="inactive")
    uuid = await domain.add("use", f'x := 1\nm := import("{imported}")\n', signed=False)
    reply = await sign(hosted, uuid)
    assert reply.status == 422
    assert imported.partition("@")[0] in reply.json()["error"]["message"]
    assert reply.json()["message"].startswith("use:2:")


async def test_a_module_is_compiled_as_a_module(hosted: Guest, domain: Domain) -> None:
    bad = await domain.add("bad", "\nexport {add: func(a, b) { return a + c }}", kind="module", signed=False)
    good = await domain.add("good", "export 1", kind="module", signed=False)
    reply = await sign(hosted, bad)
    assert (reply.status, reply.json()["error"]["stack"]) == (422, ["bad:2:38"])
    assert (await sign(hosted, good)).status == 204


async def test_what_is_not_there_stays_not_found_and_what_is_not_allowed_forbidden(
    hosted: Guest, domain: Domain
) -> None:
    uuid = await domain.add("greet", BROKEN, signed=False)
    assert (await sign(hosted, uuid4())).status == 404
    assert (await sign(hosted, uuid, 1)).status == 404
    assert (await sign(hosted, uuid, 1, "?force=true")).status == 404
    assert (await sign(hosted, uuid, 99999999999)).status == 404
    assert (await sign(hosted, uuid, token="wrong")).status == 401


async def test_a_language_that_is_not_run_here_is_not_compiled(hosted: Guest, domain: Domain) -> None:
    uuid = await domain.add("greet", BROKEN, signed=False)
    async with transaction(domain.store._engine, "domain") as connection:
        await connection.execute(programs.update().where(programs.c.uuid == uuid).values(language="lua"))
    assert (await sign(hosted, uuid)).status == 204


async def test_many_at_once_are_all_judged_and_leave_no_process(hosted: Guest, domain: Domain) -> None:
    codes = ["x := 1" if number % 2 else f"x{number} = 1" for number in range(6)]
    uuids = [await domain.add(f"p{number}", code, signed=False) for number, code in enumerate(codes)]
    replies = await asyncio.gather(*(sign(hosted, uuid) for uuid in uuids))
    assert [reply.status for reply in replies] == [204 if number % 2 else 422 for number in range(6)]
    assert children(hosted.daemons[0].pid) == []


async def test_a_domain_that_signs_much_does_not_make_another_wait_for_all_of_it(hosted: Guest, domain: Domain) -> None:
    other = await hosted.add_domain("other")
    await hosted.start()
    much = await other.add("much", BROKEN, signed=False)
    little = await domain.add("little", "x := 1", signed=False)
    path = f"/v2/programs/{much}/revisions/0/sign"
    many = [asyncio.create_task(hosted.call("PUT", path, domain=other.name)) for _ in range(40)]
    await asyncio.wait(many, return_when=asyncio.FIRST_COMPLETED)
    assert (await sign(hosted, little)).status == 204
    assert sum(each.done() for each in many) < 20
    assert {reply.status for reply in await asyncio.gather(*many)} == {422}


async def test_where_no_compiler_can_be_started_it_says_so_and_how_to_sign_all_the_same(
    installation: Installation, domain: Domain
) -> None:
    uuid = await domain.add("greet", "x := 1", signed=False)
    manager = installation.manager()
    await manager.start()
    pid = manager.pid
    assert (await installation.call("GET", f"/v2/programs/{uuid}/revisions")).status == 200  # connections are there
    _, hard = limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (_lowest_free_descriptor(pid), hard))
    reply = await sign(installation, uuid)
    assert reply.status == 503
    assert "no compiler can be started: Too many open files" in reply.json()["message"]
    assert "force=true" in reply.json()["message"]
    assert (await sign(installation, uuid, query="?force=true")).status == 204
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


def _lowest_free_descriptor(pid: int) -> int:
    taken = {int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    return next(number for number in range(len(taken) + 1) if number not in taken)

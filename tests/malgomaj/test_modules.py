"""Modules from the Library."""

import asyncio
import gc
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest
from structlog.testing import capture_logs

from malgomaj.errors import LibraryAway, ModuleMissing, TaskFailed
from malgomaj.modules import Library, ModuleRef, ModuleSet
from malgomaj.peer import Peer, SharedSecret
from shared.wire import ModuleUse
from tengo_bridge.compiling import Import
from tests.malgomaj.manager import SECRET, LocalManager
from tests.support.waiting import free_port

LATEST = ModuleRef("test", "tengo", "simplemath", "latest")
MATH = {0: "export 0", 1: "export 1"}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def library(manager: LocalManager, session: aiohttp.ClientSession, clock: Clock) -> AsyncIterator[Library]:
    manager.modules["simplemath"] = dict(MATH)
    library = open_library(manager.authority, session, clock)
    yield library
    await library.close()


def open_library(authority: str, session: aiohttp.ClientSession, clock: Clock) -> Library:
    secret = SharedSecret(lambda: SECRET)
    return Library(
        session, Peer.at("http", authority), secret, kept_seconds=30, max_bytes=1000, max_kept_bytes=2500, clock=clock
    )


async def test_a_module_is_asked_for_once_while_it_is_fresh(
    library: Library, manager: LocalManager, clock: Clock
) -> None:
    assert library.fresh(LATEST) is None
    module = await library.fetch(LATEST)
    assert (module.code, module.revision) == (b"export 1", 1)
    clock.now += 29
    assert library.fresh(LATEST) is module
    clock.now += 2
    assert library.fresh(LATEST) is None
    assert manager.answers == [200]


async def test_an_old_copy_is_revalidated_by_its_etag(library: Library, manager: LocalManager, clock: Clock) -> None:
    first = await library.fetch(LATEST)
    clock.now += 31
    assert await library.fetch(LATEST) is first
    assert library.fresh(LATEST) is first
    manager.modules["simplemath"][2] = "export 2"
    clock.now += 31
    assert (await library.fetch(LATEST)).code == b"export 2"
    assert manager.answers == [200, 304, 200]


async def test_simultaneous_askers_share_one_request(library: Library, manager: LocalManager) -> None:
    modules = await asyncio.gather(*(library.fetch(LATEST) for _ in range(50)))
    assert len(set(map(id, modules))) == 1
    assert manager.answers == [200]


async def test_a_module_that_went_is_missing_even_if_a_copy_is_kept(
    library: Library, manager: LocalManager, clock: Clock
) -> None:
    await library.fetch(LATEST)
    manager.modules.clear()
    with pytest.raises(ModuleMissing, match="module 'simplemath' is not found or not signed"):
        await library.fetch(LATEST)
    assert library.fresh(LATEST) is None


@pytest.mark.parametrize("status", [500, 401, 302])
async def test_a_kept_copy_serves_while_the_library_is_away(
    library: Library, manager: LocalManager, clock: Clock, status: int
) -> None:
    module = await library.fetch(LATEST)
    clock.now += 31
    manager.status = status
    with capture_logs() as logs:
        assert await library.fetch(LATEST) is module
        assert await library.fetch(LATEST) is module
    assert [line["event"] for line in logs] == ["library_away"]
    manager.status = None
    assert await library.fetch(LATEST) is module
    assert library.fresh(LATEST) is module


async def test_without_a_copy_a_library_that_is_away_is_an_error(session: aiohttp.ClientSession, clock: Clock) -> None:
    library = open_library(f"127.0.0.1:{free_port()}", session, clock)
    with pytest.raises(LibraryAway, match=r"the module library at http://127\.0\.0\.1:\d+ is away: "):
        await library.fetch(LATEST)


async def test_a_module_that_is_too_long_is_refused(library: Library, manager: LocalManager) -> None:
    manager.modules["simplemath"][2] = "x" * 1001
    with pytest.raises(ModuleMissing, match=r"exceeds limits\.source_bytes"):
        await library.fetch(LATEST)


async def test_a_set_looks_each_revision_up_once_and_stays_with_it(
    library: Library, manager: LocalManager, clock: Clock
) -> None:
    modules = ModuleSet(library, "test", "tengo")
    await modules.add([Import("simplemath@latest", "greet:1:1"), Import("simplemath@0", "greet:2:1")])
    manager.modules["simplemath"][2] = "export 2"
    clock.now += 31
    await modules.add([Import("simplemath", "simplemath@0:1:1"), Import("simplemath@latest", "greet:1:1")])
    expected = {"simplemath@latest": b"export 1", "simplemath@0": b"export 0", "simplemath": b"export 1"}
    assert modules.sources() == expected
    assert manager.answers == [200, 200]
    (use,) = modules.uses(["simplemath@0"])
    assert use == ModuleUse(name="simplemath@0", revision=0, etag=use.etag)


async def test_of_several_missing_modules_the_first_is_named_and_none_is_complained_of_later(
    library: Library, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(TaskFailed, match="module 'x' is not found"):
        await ModuleSet(library, "test", "tengo").add([Import(name, "greet:1:1") for name in ("x", "y", "z")])
    await library.close()
    gc.collect()
    assert not caplog.records


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("simplemath@3", "module 'simplemath@3' is not found or not signed"),
        ("nothing", "module 'nothing' is not found or not signed"),
        ("a@b", "module 'a@b' is not a name, name@latest or name@N"),
    ],
)
async def test_what_cannot_be_had_is_named_with_its_importing_place(library: Library, name: str, reason: str) -> None:
    with pytest.raises(TaskFailed) as caught:
        await ModuleSet(library, "test", "tengo").add([Import(name, "sums:3:9", ("greet:1:1",))])
    assert caught.value.error.message == f"{reason} (imported at sums:3:9)"
    assert caught.value.error.stack == ["sums:3:9", "greet:1:1"]
    assert caught.value.error.kind == "compile"


async def test_a_copy_serves_soon_where_the_library_hangs_and_it_is_not_asked_again_at_once(
    library: Library, manager: LocalManager, clock: Clock
) -> None:
    module = await library.fetch(LATEST)
    manager.hold = asyncio.Event()
    clock.now += 31
    async with asyncio.timeout(5):
        assert await library.fetch(LATEST) == module
    assert library.fresh(LATEST) == module
    clock.now += 6
    assert library.fresh(LATEST) is None
    manager.hold.set()


async def test_a_new_revision_of_the_same_text_is_named_by_its_number(
    library: Library, manager: LocalManager, clock: Clock
) -> None:
    assert (await library.fetch(LATEST)).revision == 1
    manager.modules["simplemath"][2] = MATH[1]
    clock.now += 31
    module = await library.fetch(LATEST)
    assert (module.code, module.revision) == (b"export 1", 2)
    assert manager.answers == [200, 304]


async def test_after_a_missing_module_the_library_is_not_asked_for_the_rest(
    library: Library, manager: LocalManager
) -> None:
    imports = [Import(f"m{number}", f"main:{number}:1") for number in range(1000)]
    with pytest.raises(TaskFailed, match="'m0' is not found"):
        await ModuleSet(library, "test", "tengo").add(imports)
    await library.close()
    assert manager.calls["GET library"] <= 16


async def test_a_domain_with_many_copies_does_not_push_out_those_of_others(
    library: Library, manager: LocalManager
) -> None:
    neighbour = replace(LATEST, domain="neighbour", name="a")
    refs = [replace(LATEST, name=name) for name in ("a", "b", "c")]
    for ref in refs:
        manager.modules[ref.name] = {0: " " * 1000}
    for ref in (neighbour, *refs):
        await library.fetch(ref)
    assert library.fresh(neighbour) is not None
    assert [library.fresh(ref) is not None for ref in refs] == [False, False, True]


async def test_the_copies_used_least_lately_go_for_the_bytes_of_a_new_one(
    library: Library, manager: LocalManager
) -> None:
    refs = [replace(LATEST, name=name) for name in ("a", "b", "c")]
    for ref in refs:
        manager.modules[ref.name] = {0: " " * 1000}
    for ref in (refs[0], refs[1]):
        await library.fetch(ref)
    assert library.fresh(refs[0]) is not None
    await library.fetch(refs[2])
    assert [library.fresh(ref) is not None for ref in refs] == [True, False, True]
    del manager.modules["a"]
    with pytest.raises(ModuleMissing):
        await library.fetch(refs[0])
    await library.fetch(refs[1])
    assert [library.fresh(ref) is not None for ref in refs] == [False, True, True]


async def test_a_copy_from_another_state_of_the_domain_is_looked_up_again_before_it_is_used(
    library: Library, manager: LocalManager
) -> None:
    for state in ("one", "one", "two", "two", None):
        if library.fresh(LATEST, state) is None:
            await library.fetch(LATEST, state)
    assert manager.answers == [200, 304]
    manager.modules["simplemath"][2] = "export 2"
    modules = ModuleSet(library, "test", "tengo", "three")
    await modules.add([Import("simplemath", "greet:1:1")])
    assert modules.sources() == {"simplemath": b"export 2"}


async def test_a_request_that_is_under_way_does_not_serve_a_later_state(
    library: Library, manager: LocalManager
) -> None:
    manager.hold = asyncio.Event()
    before = library.fetch(LATEST, "before")
    after = library.fetch(LATEST, "after")
    assert after is not before
    manager.hold.set()
    await asyncio.gather(before, after)
    assert manager.answers == [200, 200]


async def test_while_the_library_is_away_a_copy_serves_every_state(
    library: Library, manager: LocalManager, clock: Clock
) -> None:
    module = await library.fetch(LATEST, "one")
    manager.status = 500
    assert await library.fetch(LATEST, "two") is module
    assert library.fresh(LATEST, "two") is module
    clock.now += 6
    assert library.fresh(LATEST, "two") is None

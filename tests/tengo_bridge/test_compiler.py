"""Compiling alone, in real processes."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest

from shared.wire import ErrorKind
from tengo_bridge.compiler import Compiler, CompilerLimits, NoCompiler, open_compiler
from tengo_bridge.compiling import FindModules, Import
from tengo_bridge.frames import MAX_FRAME_BYTES
from tests.support.waiting import until

MEBIBYTE = 1024 * 1024
TIMEOUT_SECONDS = 30.0


@pytest.fixture
async def compiler() -> AsyncIterator[Compiler]:
    async with open_compiler(TIMEOUT_SECONDS) as compiler:
        yield compiler


def children() -> set[int]:
    pid = os.getpid()
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()))


def among(modules: Mapping[str, str]) -> FindModules:
    async def find(needed: Sequence[Import]) -> Mapping[str, bytes]:
        return {one.name: modules[one.name].encode() for one in needed if one.name in modules}

    return find


async def wrong(
    compiler: Compiler, code: str, *, as_module: bool = False, **modules: str
) -> Sequence[tuple[str, Sequence[str]]]:
    """Message and places of each error."""
    errors = await compiler.check("main", code.encode(), among(modules), as_module=as_module)
    return [(error.message, error.stack) for error in errors]


async def test_what_compiles_has_no_errors_and_what_does_not_has_its_place(compiler: Compiler) -> None:
    assert await wrong(compiler, "x := 1") == []
    assert await wrong(compiler, "\nx = 1") == [("unresolved reference 'x'", ["main:2:1"])]
    assert await wrong(compiler, "x := 1") == []


async def test_modules_are_asked_for_through_the_whole_graph(compiler: Compiler) -> None:
    graph = {"a": 'export import("b")', "b": "export 1"}
    assert await wrong(compiler, 'x := import("a")', a=graph["a"], b=graph["b"]) == []
    message, places = (await wrong(compiler, '\nx := import("a")', a=graph["a"]))[0]
    assert message == "there is no module 'b'"
    assert places == ["a:1:8", "main:2:6"]
    assert await wrong(compiler, 'import("a")', a="export c") == [("unresolved reference 'c'", ["a:1:8", "main:1:1"])]


async def test_all_modules_that_are_missing_are_named(compiler: Compiler) -> None:
    told = await wrong(compiler, 'import("a")\nimport("b@2")')
    assert told == [("there is no module 'a'", ["main:1:1"]), ("there is no module 'b@2'", ["main:2:1"])]


async def test_a_module_is_compiled_as_one_and_its_places_are_its_own(compiler: Compiler) -> None:
    code = "export {\n\tadd: func(a, b) { return a + c }\n}"
    assert await wrong(compiler, code, as_module=True) == [("unresolved reference 'c'", ["main:2:31"])]
    assert await wrong(compiler, "export 1", as_module=True) == []
    told = await wrong(compiler, 'export import("a")', as_module=True)
    assert told == [("there is no module 'a'", ["main:1:8"])]


async def test_what_is_too_large_for_the_process_is_refused_and_costs_nothing(compiler: Compiler) -> None:
    code = b"x := 1" + b" " * MAX_FRAME_BYTES
    (error,) = await compiler.check("main", code, among({}), as_module=False)
    assert error.message.startswith("the program and its modules are too large together")
    before = children()
    assert await wrong(compiler, "x := 1") == []
    assert children() == before


@pytest.mark.parametrize("signal_sent", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_process_that_dies_or_hangs_costs_that_compile_alone(signal_sent: signal.Signals) -> None:
    before = children()
    async with open_compiler(1.0) as compiler:
        assert await wrong(compiler, "x := 1") == []
        (pid,) = children() - before
        os.kill(pid, signal_sent)
        (error,) = await compiler.check("main", b"x := 1", among({}), as_module=False)
        expected = {
            signal.SIGKILL: (ErrorKind.CRASH, "the executor was ended by SIGKILL"),
            signal.SIGSTOP: (ErrorKind.DEADLINE, "the program did not compile within 1 s"),
        }
        assert (error.kind, error.message) == expected[signal_sent]
        assert await wrong(compiler, "x := 1") == []
        assert len(children() - before) == 1
    assert children() == before


async def test_a_process_that_died_while_idle_costs_nothing(compiler: Compiler) -> None:
    before = children()
    assert await wrong(compiler, "x := 1") == []
    (pid,) = children() - before
    os.kill(pid, signal.SIGKILL)

    async def reaped() -> bool:
        return pid not in children()

    await until(reaped, "its death is noticed")
    assert await wrong(compiler, "x := 1") == []


async def test_a_compile_that_needs_too_much_memory_costs_itself_alone() -> None:
    large = "\n".join(f"x{number} := [1, 2, 3, 4, 5, 6, 7, 8]" for number in range(28_000))
    modules = {f"m{number}": large for number in range(12)}
    code = "\n".join(f'import("{name}")' for name in modules)
    async with open_compiler(TIMEOUT_SECONDS, CompilerLimits(memory_bytes=192 * MEBIBYTE)) as compiler:
        (error,) = await compiler.check("main", code.encode(), among(modules), as_module=False)
        assert error.kind is ErrorKind.MEMORY
        assert error.message == f"the executor needed more memory than a compiler may have ({192 * MEBIBYTE} bytes)"
        assert await wrong(compiler, "x := 1") == []


async def test_modules_that_do_not_come_in_time_are_an_error_of_that_compile() -> None:
    async def never(_needed: Sequence[Import]) -> Mapping[str, bytes]:
        await asyncio.sleep(3600)
        return {}

    async with open_compiler(0.5) as compiler:
        (error,) = await compiler.check("main", b'import("a")', never, as_module=False)
        assert error.kind is ErrorKind.DEADLINE
        assert await wrong(compiler, "x := 1") == []


async def test_an_error_of_who_finds_the_modules_is_not_hidden(compiler: Compiler) -> None:
    async def fail(_needed: Sequence[Import]) -> Mapping[str, bytes]:
        raise TimeoutError("the database does not answer")

    with pytest.raises(TimeoutError, match="the database"):
        await compiler.check("main", b'import("a")', fail, as_module=False)
    assert await wrong(compiler, "x := 1") == []


async def test_nothing_is_left_if_a_compile_is_cancelled() -> None:
    before = children()

    async def check() -> None:
        async with open_compiler(TIMEOUT_SECONDS) as compiler:
            assert await wrong(compiler, "x := 1") == []
            (pid,) = children() - before
            os.kill(pid, signal.SIGSTOP)
            compiling.set()
            await wrong(compiler, "x := 1")

    compiling = asyncio.Event()
    checking = asyncio.create_task(check())
    await compiling.wait()
    checking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await checking
    assert children() == before


async def test_a_compiler_that_cannot_start_says_why() -> None:
    before = children()
    async with open_compiler(TIMEOUT_SECONDS, CompilerLimits(memory_bytes=1 * MEBIBYTE)) as compiler:
        with pytest.raises(NoCompiler, match="no compiler can be started: the executor"):
            await wrong(compiler, "x := 1")
    assert children() == before


async def test_several_at_once_take_turns(compiler: Compiler) -> None:
    told = await asyncio.gather(*(wrong(compiler, f"x{number} = 1") for number in range(20)))
    assert told == [[(f"unresolved reference 'x{number}'", ["main:1:1"])] for number in range(20)]

"""Programs in local files, compiled and run in a real executor, with neither manager nor daemon.

A program goes the way that a task goes in the daemon, but for its modules, which come from files too.
"""

import asyncio
import hashlib
import math
import shlex
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from malgomaj.errors import TaskFailed
from malgomaj.executor import MEMORY_RULE, Executor, ExecutorOptions, spawn
from malgomaj.programs import Source, program_key, source_key
from malgomaj.sources import Sources
from malgomaj.webhook import request_parts, written_by_program
from shared.imports import LATEST, UnusableImport, import_name, parse_import
from shared.wire import MAX_DEADLINE_MS, ErrorKind, LogLine, ModuleUse, Outcome, ProgramError, TaskAnswer, TaskRequest
from tengo_bridge.compiler import Compiler, CompilerLimits, open_compiler
from tengo_bridge.compiling import (
    TENGO,
    CompileOrder,
    FindModules,
    Import,
    NotCompiled,
    compile_with_modules,
    is_module,
)
from tengo_bridge.frames import Frame

DOMAIN = "local"
ANSWER_SLACK_SECONDS = 0.1
"""An executor ends a run at its deadline itself, and knows where the run was. Its word is awaited for so long."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to run: a routine, or a webhook if there is a request."""

    sources: Sources
    request: TaskRequest | None
    deadline_ms: int


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended; ``errors`` is empty if it ended well."""

    outcome: Outcome
    errors: Sequence[ProgramError]
    duration_ms: float
    log: Sequence[LogLine]
    modules: Sequence[ModuleUse]
    response: TaskAnswer | None


class Progress:
    """What a run has come to so far. However it ends, this much is known."""

    def __init__(self, on_line: Callable[[LogLine], None]) -> None:
        self.lines: list[LogLine] = []
        self.modules: list[ModuleUse] = []
        self._on_line = on_line

    def take_line(self, line: LogLine) -> None:
        self.lines.append(line)
        self._on_line(line)


@asynccontextmanager
async def open_executor(options: ExecutorOptions) -> AsyncIterator[Executor]:
    """An executor that is ready; its process is gone at the end. Raises WorkerError if none can be started."""
    executor = await spawn(DOMAIN, options)
    watch = asyncio.create_task(executor.watch())
    try:
        await executor.ready()
        yield executor
    finally:
        executor.kill()
        await watch


async def check_all(
    programs: Iterable[Sources], options: ExecutorOptions
) -> AsyncIterator[tuple[Sources, Sequence[ProgramError]]]:
    """Each program with what is wrong with it: nothing if it compiles. Raises NoCompiler."""
    limits = CompilerLimits(options.memory_bytes, MEMORY_RULE, options.configuration)
    async with open_compiler(MAX_DEADLINE_MS / 1000, limits) as compiler:
        for sources in programs:
            yield sources, await _check(compiler, sources)


async def _check(compiler: Compiler, sources: Sources) -> Sequence[ProgramError]:
    main = sources.main
    return await compiler.check(main.name, main.code, _supplied_by(sources), as_module=is_module(main.code))


async def run(executor: Executor, order: Order, on_line: Callable[[LogLine], None]) -> Ended:
    """Compile a program and run it, both within the deadline. Its log lines go to ``on_line`` as they come."""
    began = time.perf_counter()
    progress = Progress(on_line)
    outcome, errors, done = await _run_in_time(executor, order, progress)
    return Ended(
        outcome=outcome,
        errors=errors,
        duration_ms=(time.perf_counter() - began) * 1000,
        log=progress.lines,
        modules=progress.modules,
        response=TaskAnswer(**written_by_program(done)._asdict()) if done and order.request else None,
    )


async def _run_in_time(
    executor: Executor, order: Order, progress: Progress
) -> tuple[Outcome, Sequence[ProgramError], Frame | None]:
    try:
        async with asyncio.timeout(order.deadline_ms / 1000 + ANSWER_SLACK_SECONDS):
            done = await _compile_and_run(executor, order, progress)
    except TimeoutError:
        return Outcome.TIMED_OUT, [_deadline_exceeded(order.deadline_ms)], None
    except NotCompiled as fault:
        return Outcome.FAILED, fault.errors, None
    except TaskFailed as failure:
        return failure.outcome, [failure.error], None
    outcome = Outcome(done.meta["outcome"])
    if outcome is Outcome.SUCCEEDED:
        return outcome, [], done
    return outcome, [_error_of(done, order.deadline_ms)], None


async def _compile_and_run(executor: Executor, order: Order, progress: Progress) -> Frame:
    began = time.perf_counter()
    key, imports = await _compile(executor, order.sources)
    progress.modules += [_module_use(name) for name in imports]
    left_ms = math.ceil(order.deadline_ms - (time.perf_counter() - began) * 1000)
    return await executor.run(key, max(1, left_ms), *request_parts(order.request), progress.take_line)


async def _compile(executor: Executor, sources: Sources) -> tuple[str, Sequence[str]]:
    """The program's key, and the modules that it uses as imported.

    Raises NotCompiled, or TaskFailed if the executor dies.
    """
    main = sources.main
    source = source_key(Source.of(DOMAIN, TENGO, main.name, main.code))

    def key(modules: Mapping[str, bytes]) -> str:
        return program_key(source, {name: hashlib.sha256(code).digest() for name, code in modules.items()})

    async def attempt(modules: Mapping[str, bytes]) -> Frame:
        return await executor.compile(CompileOrder(key(modules), TENGO, main.name, main.code, modules))

    compiled = await compile_with_modules(attempt, _supplied_by(sources), {})
    return key(compiled.modules), compiled.imports


def _supplied_by(sources: Sources) -> FindModules:
    """Finds the code of what is needed among what was supplied."""

    async def find(needed: Sequence[Import]) -> Mapping[str, bytes]:
        found = {one.name: file.code for one in needed if (file := sources.module(one.name))}
        if missing := [_not_supplied(one) for one in needed if one.name not in found]:
            raise NotCompiled(missing)
        return found

    return find


def _not_supplied(needed: Import) -> ProgramError:
    try:
        option = shlex.quote(f"{import_name(*parse_import(needed.name))}=PATH")
    except UnusableImport as error:
        return needed.error(str(error))
    return needed.error(f"module '{needed.name}' is not supplied; say where it is: --module {option}")


def _error_of(done: Frame, deadline_ms: int) -> ProgramError:
    error = ProgramError.model_validate(done.meta["error"])
    # The executor knows only what the compile has left of the deadline.
    return _deadline_exceeded(deadline_ms, error.stack) if error.kind is ErrorKind.DEADLINE else error


def _deadline_exceeded(deadline_ms: int, stack: Sequence[str] = ()) -> ProgramError:
    message = f"deadline of {deadline_ms} ms exceeded"
    return ProgramError(kind=ErrorKind.DEADLINE, message=message, stack=list(stack))


def _module_use(imported: str) -> ModuleUse:
    _, revision = parse_import(imported)
    return ModuleUse(name=imported, revision=None if revision == LATEST else int(revision))

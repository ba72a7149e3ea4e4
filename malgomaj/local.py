"""Programs in local files, compiled and run in a real executor, with neither manager nor daemon.

A program goes the way that a task goes in the daemon, but for its modules, which come from files too.
"""

import asyncio
import hashlib
import math
import shlex
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from malgomaj.errors import ModuleMissing, TaskFailed
from malgomaj.executor import CompileOrder, Executor, ExecutorOptions, spawn
from malgomaj.imports import LATEST, import_name, parse_import
from malgomaj.programs import Import, Source, program_key, source_key
from malgomaj.sources import LocalFile, Sources, is_module
from malgomaj.webhook import request_parts, task_answer
from shared.wire import MAX_DEADLINE_MS, ErrorKind, LogLine, ModuleUse, Outcome, ProgramError, TaskAnswer, TaskRequest
from tengo_bridge.frames import Frame, Kind

DOMAIN = "local"
LANGUAGE = "tengo"
ANSWER_SLACK_SECONDS = 0.1
"""An executor ends a run at its deadline itself, and knows where the run was. Its word is awaited for so long."""

_CHECKED_MODULE = "the module that is checked"
_IMPORTER = LocalFile(name=f"importer of {_CHECKED_MODULE}", code=f'import("{_CHECKED_MODULE}")'.encode())


@dataclass(frozen=True, slots=True)
class Compiled:
    key: str
    imports: Sequence[str]
    """The named modules that it uses, as imported."""


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


class NotSupplied(TaskFailed):
    """Modules that the program imports are not among those that it was given; an error for each."""

    def __init__(self, errors: Sequence[ProgramError]) -> None:
        super().__init__(Outcome.FAILED, errors[0])
        self.errors = errors


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
    """Each program with what is wrong with it: nothing if it compiles. After one that ends the executor the next gets
    another."""
    waiting = list(reversed(list(programs)))
    while waiting:
        async with open_executor(options) as executor:
            while waiting and executor.usable:
                sources = waiting.pop()
                yield sources, await check(executor, sources)


async def check(executor: Executor, sources: Sources) -> Sequence[ProgramError]:
    """What is wrong with a program, or with a module: nothing if it compiles."""
    if not is_module(sources.main.code):
        return await _check(executor, sources)
    return [_in_file(error, sources.main) for error in await _check(executor, _imported_alone(sources))]


async def _check(executor: Executor, sources: Sources) -> Sequence[ProgramError]:
    try:
        async with asyncio.timeout(MAX_DEADLINE_MS / 1000):
            await _compile(executor, sources)
    except TimeoutError:
        executor.kill()
        return [_deadline_exceeded(MAX_DEADLINE_MS)]
    except TaskFailed as failure:
        return _errors(failure)
    return []


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
        response=task_answer(done) if done and order.request else None,
    )


async def _run_in_time(
    executor: Executor, order: Order, progress: Progress
) -> tuple[Outcome, Sequence[ProgramError], Frame | None]:
    try:
        async with asyncio.timeout(order.deadline_ms / 1000 + ANSWER_SLACK_SECONDS):
            done = await _compile_and_run(executor, order, progress)
    except TimeoutError:
        return Outcome.TIMED_OUT, [_deadline_exceeded(order.deadline_ms)], None
    except TaskFailed as failure:
        return failure.outcome, _errors(failure), None
    outcome = Outcome(done.meta["outcome"])
    if outcome is Outcome.SUCCEEDED:
        return outcome, [], done
    return outcome, [_error_of(done, order.deadline_ms)], None


async def _compile_and_run(executor: Executor, order: Order, progress: Progress) -> Frame:
    began = time.perf_counter()
    compiled = await _compile(executor, order.sources)
    progress.modules += [_module_use(name) for name in compiled.imports]
    left_ms = math.ceil(order.deadline_ms - (time.perf_counter() - began) * 1000)
    return await executor.run(compiled.key, max(1, left_ms), *request_parts(order.request), progress.take_line)


async def _compile(executor: Executor, sources: Sources) -> Compiled:
    """Raises NotSupplied, or TaskFailed if the program is refused or the executor dies."""
    main = sources.main
    source = source_key(Source(DOMAIN, LANGUAGE, main.name, main.code))
    modules: dict[str, bytes] = {}
    while True:
        key = program_key(source, {name: hashlib.sha256(code).digest() for name, code in modules.items()})
        answer = await executor.compile(CompileOrder(key, LANGUAGE, main.name, main.code, modules))
        if answer.kind is Kind.REFUSED:
            raise TaskFailed(Outcome.FAILED, ProgramError.model_validate(answer.meta["error"]))
        if answer.kind is Kind.COMPILED:
            return Compiled(key, answer.meta.get("modules", ()))
        modules |= _supplied([Import.of(one) for one in answer.meta["modules"]], sources)


def _supplied(needed: Sequence[Import], sources: Sources) -> dict[str, bytes]:
    """The code of what is needed. Raises NotSupplied."""
    found = {one.name: file.code for one in needed if (file := sources.module(one.name))}
    missing = [_not_supplied(one) for one in needed if one.name not in found]
    if missing:
        raise NotSupplied(missing)
    return found


def _not_supplied(needed: Import) -> ProgramError:
    try:
        option = shlex.quote(f"{import_name(*parse_import(needed.name))}=PATH")
        message = f"module '{needed.name}' is not supplied; say where it is: --module {option}"
    except ModuleMissing as error:
        message = str(error)
    return ProgramError(kind=ErrorKind.COMPILE, message=message, stack=needed.stack)


def _errors(failure: TaskFailed) -> Sequence[ProgramError]:
    return failure.errors if isinstance(failure, NotSupplied) else [failure.error]


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


def _imported_alone(sources: Sources) -> Sources:
    """A program that does nothing but import the module, for in a program of its own an ``export`` is not looked at."""
    return Sources(_IMPORTER, {**sources.modules, (_CHECKED_MODULE, LATEST): sources.main})


def _in_file(error: ProgramError, file: LocalFile) -> ProgramError:
    """The error of a module that was imported alone, as one of its file."""
    places = [place for place in error.stack if not place.startswith(f"{_IMPORTER.name}:")]
    stack = [place.replace(f"{_CHECKED_MODULE}:", f"{file.name}:", 1) for place in places]
    message = error.message.replace(f"{_CHECKED_MODULE}:", f"{file.name}:")
    return error.model_copy(update={"stack": stack, "message": message})

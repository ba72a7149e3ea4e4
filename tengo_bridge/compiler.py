"""Compiling alone, for who does not run programs: in a locked-down process, as source code is not to be trusted.

A compile that hangs, crashes or needs too much memory is the error of that one; the next one gets another process.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from shared.errors import SelfhostError
from shared.wire import ErrorKind, ProgramError
from tengo_bridge.answers import check_answer
from tengo_bridge.compiling import (
    TENGO,
    CompileOrder,
    FindModules,
    ModuleAlone,
    NotCompiled,
    compile_with_modules,
    too_large,
)
from tengo_bridge.frames import Frame, FrameDecoder, FrameError, Kind, encode
from tengo_bridge.process import CRASH_SECONDS, spawn_process, wait_for_death

MEBIBYTE = 1024 * 1024
START_TIMEOUT_SECONDS = 10.0

_RECEIVE_BYTES = 64 * 1024
_KEY = "checked"
_FORGET = encode(Frame(Kind.FORGET, 0, {"key": _KEY}))


class NoCompiler(SelfhostError):
    """No compiler process can be started."""


@dataclass(frozen=True, slots=True)
class CompilerLimits:
    memory_bytes: int = 512 * MEBIBYTE
    memory_rule: str = "a compiler may have"
    """How an error says what allows it that much, and no more."""
    configuration: Mapping[str, Any] = field(default_factory=dict)
    """The meta data of the CONFIGURE frame; what it does not say is as in a worker that is not configured."""

    @property
    def memory_limit(self) -> str:
        return f"{self.memory_rule} ({self.memory_bytes} bytes)"


class _Gone(Exception):
    """The process has closed its socket."""


class _Process:
    """A compiler process and the stream of frames to it, one question after the other."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        limits: CompilerLimits,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._death = asyncio.create_task(wait_for_death(process, limits.memory_limit))
        self._decoder = FrameDecoder()
        self._received: deque[Frame] = deque()

    @property
    def usable(self) -> bool:
        return not (self._writer.is_closing() or self._reader.at_eof() or self._death.done())

    async def send(self, data: bytes) -> None:
        """Whether it arrives, the answer tells."""
        self._writer.write(data)
        with suppress(ConnectionError):
            await self._writer.drain()

    async def receive(self) -> Frame:
        """Raises _Gone; FrameError, or a ValueError, if the process says what cannot be understood."""
        while not self._received:
            try:
                data = await self._reader.read(_RECEIVE_BYTES)
            except ConnectionError:
                data = b""
            if not data:
                raise _Gone
            self._received += self._decoder.feed(data)
        return self._received.popleft()

    def kill(self) -> None:
        """End it at once."""
        self._writer.close()
        if self._process.returncode is None:
            self._process.kill()

    async def death(self) -> ProgramError:
        """Why it died by itself; wait for that, and kill it if it takes long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CRASH_SECONDS):
                await asyncio.shield(self._death)
        self.kill()
        _, reason = await asyncio.shield(self._death)
        return reason

    async def end(self) -> None:
        """Kill it and wait until it is gone."""
        self.kill()
        await asyncio.shield(self._death)


class Compiler:
    """Checks whether programs compile, one after the other. Open it with :func:`open_compiler`."""

    def __init__(self, timeout_seconds: float, limits: CompilerLimits) -> None:
        self._timeout_seconds = timeout_seconds
        self._limits = limits
        self._process: _Process | None = None
        self._turn = asyncio.Lock()

    async def check(
        self, file: str, code: bytes, find_modules: FindModules, *, as_module: bool
    ) -> Sequence[ProgramError]:
        """What is wrong with the program, or the module, that error positions call ``file``: nothing if it compiles.

        ``find_modules`` is asked for the code of the modules that it imports, and of those that these import. It gives
        those that there are; or raises NotCompiled, to say in its own words what is wrong. Raises NoCompiler.
        """
        if not as_module:
            return await self._check(file, code, find_modules, {})
        alone = ModuleAlone(file, code)
        errors = await self._check(*alone.importer, find_modules, alone.modules)
        return [alone.as_its_own(error) for error in errors]

    async def close(self) -> None:
        """End the process, if there is one, and wait until it is gone."""
        if self._process is not None:
            await self._process.end()

    async def _check(
        self, file: str, code: bytes, find_modules: FindModules, modules: Mapping[str, bytes]
    ) -> Sequence[ProgramError]:
        async with self._turn:
            process = await self._running()
            timeout = asyncio.timeout(self._timeout_seconds)
            try:
                async with timeout:
                    await compile_with_modules(
                        lambda known: _compile(process, CompileOrder(_KEY, TENGO, file, code, known)),
                        find_modules,
                        modules,
                    )
            except NotCompiled as fault:
                return fault.errors
            except TimeoutError:
                if not timeout.expired():
                    raise
                return [_took_too_long(self._timeout_seconds)]
        return []

    async def _running(self) -> _Process:
        """The process; a new one where there is none, or the last one has died. Raises NoCompiler."""
        if self._process is not None and not self._process.usable:
            await self._process.end()
            self._process = None
        if self._process is None:
            self._process = await _started(self._limits)
        return self._process


@asynccontextmanager
async def open_compiler(timeout_seconds: float, limits: CompilerLimits | None = None) -> AsyncIterator[Compiler]:
    """A compiler for programs of which each may take ``timeout_seconds``, the search for its modules included.

    Its process starts with the first check, and is gone at the end.
    """
    compiler = Compiler(timeout_seconds, limits or CompilerLimits())
    try:
        yield compiler
    finally:
        await compiler.close()


async def _started(limits: CompilerLimits) -> _Process:
    """A new process that is ready. Raises NoCompiler."""
    try:
        spawned, (reader, writer) = await _connected(limits)
    except OSError as error:
        raise NoCompiler(f"no compiler can be started: {error.strerror}") from error
    process = _Process(spawned, reader, writer, limits)
    try:
        async with asyncio.timeout(START_TIMEOUT_SECONDS):
            await process.send(encode(Frame(Kind.CONFIGURE, 0, limits.configuration)))
            await process.receive()
    except _Gone:
        raise NoCompiler(f"no compiler can be started: {(await process.death()).message}") from None
    except TimeoutError:
        await process.end()
        raise NoCompiler(f"a compiler did not get ready within {START_TIMEOUT_SECONDS:g} s") from None
    except BaseException:
        await process.end()
        raise
    return process


async def _connected(
    limits: CompilerLimits,
) -> tuple[asyncio.subprocess.Process, tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    process, ours = await spawn_process(limits.memory_bytes, environment={})
    try:
        return process, await asyncio.open_unix_connection(sock=ours)
    except BaseException:
        ours.close()
        raise


async def _compile(process: _Process, order: CompileOrder) -> Frame:
    """COMPILED, NEEDS or REFUSED. Raises NotCompiled if it costs the process, or cannot even be tried."""
    try:
        data = encode(order.frame(1))
    except FrameError as error:
        raise NotCompiled([too_large(error)]) from error
    try:
        await process.send(data)
        answer = await process.receive()
        check_answer(answer, to_compile=True)
    except _Gone:
        raise NotCompiled([await process.death()]) from None
    except (FrameError, ValueError) as error:
        process.kill()
        raise NotCompiled([_crash(f"the compiler answers what cannot be understood: {error}")]) from error
    except BaseException:
        # Its answer is still to come, and would be taken for that to the next question.
        process.kill()
        raise
    if answer.kind is Kind.COMPILED:
        await process.send(_FORGET)
    return answer


def _crash(message: str) -> ProgramError:
    return ProgramError(kind=ErrorKind.CRASH, message=message)


def _took_too_long(timeout_seconds: float) -> ProgramError:
    return ProgramError(kind=ErrorKind.DEADLINE, message=f"the program did not compile within {timeout_seconds:g} s")

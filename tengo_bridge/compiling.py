"""A compile, as it is spoken of with an executor: the order, the modules that it needs, and what is wrong."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.wire import ErrorKind, ProgramError
from tengo_bridge.errors import BridgeError
from tengo_bridge.frames import Frame, FrameError, Kind

TENGO = "tengo"
COMPILED_BYTES, COMPILED_BYTES_PER_SOURCE_BYTE = 2048, 8

_ALONE = "the module that is checked"
_IMPORTER = f"importer of {_ALONE}"
_COMMENTS_STRINGS_AND_EXPORTS = re.compile(
    rb"""//[^\n]* | /\*.*?\*/ | "(?:\\.|[^"\\\n])*" | `[^`]*` | '(?:\\.|[^'\\\n])*' | \bexport\b""",
    re.DOTALL | re.VERBOSE,
)


class NotCompiled(BridgeError):
    """A program that cannot be compiled, with an error for each thing that is known to be wrong."""

    def __init__(self, errors: Sequence[ProgramError]) -> None:
        super().__init__(str(errors[0]))
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Import:
    """A named module that a program's import graph needs."""

    name: str
    """As it stands in ``import("…")``."""
    at: str
    """The first place that imports it: ``file:line:column``."""
    via: tuple[str, ...] = ()
    """The places that import the file of that one, innermost first."""

    @property
    def stack(self) -> list[str]:
        return [self.at, *self.via]

    @classmethod
    def of(cls, needed: Mapping[str, Any]) -> "Import":
        """From what a NEEDS frame says of one module."""
        return cls(needed["name"], needed["at"], tuple(needed.get("via", ())))

    def error(self, message: str) -> ProgramError:
        """It cannot be had, at the place where it is imported."""
        return ProgramError(kind=ErrorKind.COMPILE, message=message, stack=self.stack)


FindModules = Callable[[Sequence[Import]], Awaitable[Mapping[str, bytes]]]
"""Gives the code of those of the modules that there are, by the name that stands in the import."""


@dataclass(frozen=True, slots=True)
class CompileOrder:
    """What a COMPILE frame says. ``modules`` are sources by the name that imports them."""

    key: str
    language: str
    file: str
    code: bytes
    modules: Mapping[str, bytes]

    @property
    def likely_bytes(self) -> int:
        """A guess at the memory that the compiled program takes, where the executor does not say."""
        source_bytes = len(self.code) + sum(map(len, self.modules.values()))
        return source_bytes * COMPILED_BYTES_PER_SOURCE_BYTE + COMPILED_BYTES

    def frame(self, number: int) -> Frame:
        meta = {
            "key": self.key,
            "language": self.language,
            "file": self.file,
            "source_bytes": len(self.code),
            "modules": [{"name": name, "bytes": len(code)} for name, code in self.modules.items()],
        }
        return Frame(Kind.COMPILE, number, meta, b"".join((self.code, *self.modules.values())))


@dataclass(frozen=True, slots=True)
class Compiled:
    """A program that is compiled, and what with."""

    modules: Mapping[str, bytes]
    """Every module that was asked for, by the name that stands in the import."""
    imports: Sequence[str]
    """The names of those that it uses."""


async def compile_with_modules(
    attempt: Callable[[Mapping[str, bytes]], Awaitable[Frame]],
    find_modules: FindModules,
    modules: Mapping[str, bytes],
) -> Compiled:
    """Compile until no module is missing. ``attempt`` does it once, with what is known of the modules by then.

    Raises NotCompiled, with an error for each module that ``find_modules`` does not give.
    """
    while True:
        answer = await attempt(modules)
        if answer.kind is Kind.REFUSED:
            raise NotCompiled([ProgramError.model_validate(answer.meta["error"])])
        if answer.kind is Kind.COMPILED:
            return Compiled(modules, answer.meta.get("modules", ()))
        needed = [Import.of(one) for one in answer.meta["modules"]]
        found = await find_modules(needed)
        if missing := [one for one in needed if one.name not in found]:
            raise NotCompiled([one.error(f"there is no module '{one.name}'") for one in missing])
        modules = {**modules, **found}


def too_large(error: FrameError) -> ProgramError:
    """A program that fits into no COMPILE frame."""
    message = f"the program and its modules are too large together: {error}"
    return ProgramError(kind=ErrorKind.COMPILE, message=message)


def is_module(code: bytes) -> bool:
    """Whether the code has an ``export``, which a program that is run does without."""
    return any(match[0] == b"export" for match in _COMMENTS_STRINGS_AND_EXPORTS.finditer(code))


@dataclass(frozen=True, slots=True)
class ModuleAlone:
    """A program that does nothing but import a module, for in a program of its own an ``export`` is not looked at."""

    file: str
    """What the module is called in error positions."""
    code: bytes

    @property
    def importer(self) -> tuple[str, bytes]:
        """The name and the code of the program."""
        return _IMPORTER, f'import("{_ALONE}")'.encode()

    @property
    def modules(self) -> Mapping[str, bytes]:
        """What it imports."""
        return {_ALONE: self.code}

    def as_its_own(self, error: ProgramError) -> ProgramError:
        """An error of the program as one of the module's file."""
        places = [place for place in error.stack if not place.startswith(f"{_IMPORTER}:")]
        stack = [place.replace(f"{_ALONE}:", f"{self.file}:", 1) for place in places]
        message = error.message.replace(f"{_ALONE}:", f"{self.file}:")
        return error.model_copy(update={"stack": stack, "message": message})

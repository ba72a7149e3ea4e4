"""A program in a file, with the files that stand for the modules that it may import."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from malgomaj.config import MAX_PAYLOAD_BYTES
from malgomaj.errors import UnusableInput

LATEST = "latest"

_SUPPLY = re.compile(r"(?P<module>[^@=\x00-\x1f\x7f]+)(@(?P<revision>latest|\d{1,18}))?=(?P<path>.+)", re.DOTALL)
_IMPORTED = re.compile(r"(?P<module>[^@]+)(@(?P<revision>latest|\d{1,18}))?")
_COMMENTS_STRINGS_AND_EXPORTS = re.compile(
    rb"""//[^\n]* | /\*.*?\*/ | "(?:\\.|[^"\\\n])*" | `[^`]*` | '(?:\\.|[^'\\\n])*' | \bexport\b""",
    re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class LocalFile:
    name: str
    """Its path as it was given; stands in error positions."""
    code: bytes


@dataclass(frozen=True, slots=True)
class Revision:
    """A module as it is supplied or imported. ``number`` is None for the latest."""

    module: str
    number: int | None

    def __str__(self) -> str:
        return self.module if self.number is None else f"{self.module}@{self.number}"


@dataclass(frozen=True, slots=True)
class Sources:
    main: LocalFile
    modules: Mapping[Revision, LocalFile]

    def module(self, imported: str) -> LocalFile | None:
        """What ``import("…")`` of that name stands for, if it is supplied."""
        revision = imported_revision(imported)
        return self.modules.get(revision) if revision else None

    def file_of_place(self, name: str) -> LocalFile | None:
        """The file that error positions call ``name``."""
        return self.main if name == self.main.name else self.module(name)


def imported_revision(name: str) -> Revision | None:
    """What ``name``, ``name@latest`` or ``name@N`` means; None for anything else."""
    match = _IMPORTED.fullmatch(name)
    return Revision(match["module"], _number(match["revision"])) if match else None


def read_modules(supplied: Iterable[str]) -> dict[Revision, LocalFile]:
    """The modules of ``NAME[@N]=PATH``, each read. Raises UnusableInput."""
    modules: dict[Revision, LocalFile] = {}
    for text in supplied:
        match = _SUPPLY.fullmatch(text)
        if match is None:
            raise UnusableInput(f"--module {text}: is not NAME=PATH, NAME@latest=PATH or NAME@N=PATH")
        revision = Revision(match["module"], _number(match["revision"]))
        if revision in modules:
            raise UnusableInput(f"--module {text}: module '{revision}' is given twice")
        modules[revision] = read_source(Path(match["path"]))
    return modules


def read_source(path: Path) -> LocalFile:
    """A file of source code. Raises UnusableInput if it cannot be read."""
    # No more than what an executor can be sent; it says itself what is too large to be compiled.
    name = str(path).encode("utf-8", "replace").decode("utf-8")
    return LocalFile(name, read_at_most(path, MAX_PAYLOAD_BYTES))


def read_at_most(path: Path, max_bytes: int) -> bytes:
    """The file's content, or one byte more than ``max_bytes`` of it. Raises UnusableInput."""
    try:
        with path.open("rb") as file:
            return file.read(max_bytes + 1)
    except OSError as error:
        raise UnusableInput(f"{path}: cannot be read: {error.strerror}") from error


def is_module(code: bytes) -> bool:
    """Whether the code has an ``export``, which a program that is run does without."""
    return any(match[0] == b"export" for match in _COMMENTS_STRINGS_AND_EXPORTS.finditer(code))


def _number(revision: str | None) -> int | None:
    return None if revision in (None, LATEST) else int(revision or 0)

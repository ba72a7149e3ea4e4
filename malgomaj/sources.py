"""A program in a file, with the files that stand for the modules that it may import."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from malgomaj.config import MAX_PAYLOAD_BYTES
from malgomaj.errors import UnusableInput
from shared.imports import UnusableImport, import_name, parse_import
from shared.terminal import harmless

Revision = tuple[str, str]
"""A module's name and revision, as ``parse_import`` gives them."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    name: str
    """Its path as it was given; stands in error positions."""
    code: bytes


@dataclass(frozen=True, slots=True)
class Sources:
    main: LocalFile
    modules: Mapping[Revision, LocalFile]

    def module(self, imported: str) -> LocalFile | None:
        """What ``import("…")`` of that name stands for, if it is supplied."""
        try:
            return self.modules.get(parse_import(imported))
        except UnusableImport:
            return None

    def file_of_place(self, name: str) -> LocalFile | None:
        """The file that error positions call ``name``."""
        return self.main if name == self.main.name else self.module(name)


def read_modules(supplied: Iterable[str]) -> dict[Revision, LocalFile]:
    """The modules of ``NAME[@N]=PATH``, each read. Raises UnusableInput."""
    modules: dict[Revision, LocalFile] = {}
    for text in supplied:
        revision, path = _supply(text)
        if revision in modules:
            raise UnusableInput(f"--module {text}: module '{import_name(*revision)}' is given twice")
        modules[revision] = read_source(path)
    return modules


def _supply(text: str) -> tuple[Revision, Path]:
    name, _, path = text.partition("=")
    try:
        revision = parse_import(name)
    except UnusableImport:
        path = ""
    if not path:
        raise UnusableInput(f"--module {text}: is not NAME=PATH, NAME@latest=PATH or NAME@N=PATH")
    return revision, Path(path)


def read_source(path: Path) -> LocalFile:
    """A file of source code. Raises UnusableInput if it cannot be read."""
    # No more than what an executor can be sent; it says itself what is too large to be compiled.
    return LocalFile(as_utf8(str(path)), read_at_most(path, MAX_PAYLOAD_BYTES))


def read_at_most(path: Path, max_bytes: int) -> bytes:
    """The file's content, or one byte more than ``max_bytes`` of it. Raises UnusableInput."""
    try:
        with path.open("rb") as file:
            return file.read(max_bytes + 1)
    except OSError as error:
        raise UnusableInput(f"{harmless(str(path))}: cannot be read: {error.strerror}") from error


def as_utf8(argument: str) -> str:
    """Bytes of a command line that are not UTF-8 reach us as halves of surrogate pairs; JSON has no room for them."""
    return argument.encode("utf-8", "replace").decode("utf-8")

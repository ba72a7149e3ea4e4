"""The programs of a folder: files of code, and what is said of each in a manifest or in its leading comments."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from juvuln.deploy.header import read_header
from juvuln.deploy.manifest import MANIFEST, SUFFIX, UUID, Entry, read_manifest
from juvuln.deploy.said import Said, SayingFault, name_of, specification_of
from juvuln.deploy.specification import Specification
from shared.errors import SelfhostError
from shared.terminal import harmless

MISSPELT = "program.yml"


class FolderError(SelfhostError):
    """The folder cannot be used. One line for each fault, with ``file:line``."""


@dataclass(frozen=True, slots=True)
class LocalProgram:
    """A program as the folder has it."""

    name: str
    specification: Specification
    code: bytes | None
    """None for a program that is kept without code."""
    file: Path | None
    folder: Path
    """Where its file is, or would be, and its manifest."""
    entry: Entry | None
    """What a manifest says of it; None where the leading comments count."""
    said: Mapping[str, Said]
    place: str
    """``file:line`` of its specification."""

    @property
    def title(self) -> str:
        """What error positions call it."""
        return str(self.file) if self.file else self.place

    @property
    def uuid(self) -> str | None:
        """Which of the domain's programs it is, as far as that is said."""
        return self.entry.uuid if self.entry else None

    def place_of(self, field: str) -> str:
        """Where a field is said, or could be."""
        return self.said[field].place if field in self.said else self.place


def read_folder(root: Path) -> Sequence[LocalProgram]:
    """All programs below a folder, in hidden folders none. Raises FolderError, with all faults."""
    programs: list[LocalProgram] = []
    faults: list[str] = []
    for path, folders, files in os.walk(root, onerror=_cannot_be_read):
        folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
        for found in _programs_of(Path(path), sorted(files)):
            if isinstance(found, SayingFault):
                faults.append(str(found))
            else:
                programs.append(found)
    faults += _repeated(programs)
    if faults:
        raise FolderError("\n".join(faults))
    return programs


def as_found_in(code: bytes, file: Path) -> LocalProgram:
    """A file of code that no manifest speaks of. Raises SayingFault."""
    said = read_header(code, str(file))
    place = f"{file}:1"
    return LocalProgram(
        name=name_of(said, file.name.removesuffix(SUFFIX)),
        specification=specification_of(said, code, place),
        code=code,
        file=file,
        folder=file.parent,
        entry=None,
        said=said,
        place=place,
    )


def _programs_of(folder: Path, files: Sequence[str]) -> Iterator[LocalProgram | SayingFault]:
    """The programs of one folder, and what is wrong with those that cannot be used."""
    sources = [name for name in files if name.endswith(SUFFIX) and name != SUFFIX]
    try:
        entries = _entries(folder, files, sources)
    except SayingFault as fault:
        yield fault
        return
    for name in sources:
        if name not in entries:
            yield from _tried(folder, name, None)
    for name, entry in entries.items():
        yield from _tried(folder, name if entry.has_code else None, entry)


def _tried(folder: Path, name: str | None, entry: Entry | None) -> Iterator[LocalProgram | SayingFault]:
    """The program in the file of that name, or in none; or what is wrong with it."""
    try:
        file = folder / name if name else None
        code = _read(file) if file else None
        if entry is not None:
            yield _as_entered(entry, folder, file, code)
        elif file is not None and code is not None:
            yield as_found_in(code, file)
    except SayingFault as fault:
        yield fault


def _as_entered(entry: Entry, folder: Path, file: Path | None, code: bytes | None) -> LocalProgram:
    """A program as a manifest says it is. Raises SayingFault."""
    default = entry.default_name or (file.name.removesuffix(SUFFIX) if file else "")
    return LocalProgram(
        name=name_of(entry.said, default),
        specification=specification_of(entry.said, code, entry.place),
        code=code,
        file=file,
        folder=folder,
        entry=entry,
        said=entry.said,
        place=entry.place,
    )


def _entries(folder: Path, files: Iterable[str], sources: Sequence[str]) -> dict[str, Entry]:
    """The manifest's entries by file; by key those without code. Raises SayingFault."""
    if MISSPELT in files:
        raise SayingFault(f"{folder / MISSPELT}:1", f"the specifications are read from a file called {MANIFEST}")
    if MANIFEST not in files:
        return {}
    entries: dict[str, Entry] = {}
    for entry in read_manifest(_read(folder / MANIFEST), str(folder / MANIFEST)):
        name = _file_of(entry, sources) if entry.has_code else f"without code: {entry.key}"
        if name in entries:
            raise SayingFault(entry.place, f"{name} has a specification already, at {entries[name].place}")
        entries[name] = entry
    return entries


def _file_of(entry: Entry, sources: Sequence[str]) -> str:
    """The file that an entry is about. Raises SayingFault."""
    if entry.file is not None and entry.file in sources:
        return entry.file
    if entry.file is not None:
        raise SayingFault(entry.place, f"there is no {harmless(entry.file)} in this folder; say: file: NAME{SUFFIX}")
    if len(sources) != 1:
        raise SayingFault(entry.place, f"there are {len(sources)} files here; say which is meant: file: NAME{SUFFIX}")
    return sources[0]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SayingFault(f"{path}:1", f"cannot be read: {error.strerror}") from error


def _cannot_be_read(error: OSError) -> None:
    raise FolderError(f"{error.filename}: cannot be read: {error.strerror}")


def _repeated(programs: Iterable[LocalProgram]) -> Iterator[str]:
    first: dict[str, LocalProgram] = {}
    uuids: dict[str, LocalProgram] = {}
    for program in programs:
        other = first.setdefault(program.name, program)
        if other is not program and None in (other.uuid, program.uuid):
            yield f"{program.place}: another program is called {harmless(program.name)} too: {other.place}"
        elif program.uuid and (same := uuids.setdefault(program.uuid, program)) is not program:
            yield f"{program.place}: another program has this {UUID} too: {same.place}"

"""What a pull would write: a domain's programs against those of a folder. No file is written here."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from juvuln.deploy.domain import RemoteProgram
from juvuln.deploy.file_names import file_name, folded
from juvuln.deploy.folder import LocalProgram, as_found_in
from juvuln.deploy.manifest import MANIFEST, SUFFIX, UUID
from juvuln.deploy.matching import by_name, meant
from juvuln.deploy.said import SayingFault
from juvuln.deploy.specification import Specification, changes
from shared.wire import ProgramType


class Writing(StrEnum):
    NEW = "new"
    CHANGED = "changed"
    """What is in the folder differs."""
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Pulled:
    """A program of the domain with the code that is to be written; None where it has none."""

    program: RemoteProgram
    code: bytes | None


@dataclass(frozen=True, slots=True)
class EntryWriting:
    """What is to stand in a manifest about one program."""

    manifest: Path
    key: str | None
    """Below ``programs:``; None where the manifest is one specification."""
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class PullStep:
    pulled: Pulled
    writing: Writing
    file: Path | None
    """Where the code is, or is to be."""
    writes_code: bool
    entry: EntryWriting | None
    """None where the manifest stays as it is."""


def plan_pull(
    pulled: Sequence[Pulled],
    local: Iterable[LocalProgram],
    domain: Iterable[RemoteProgram],
    root: Path,
    present: Mapping[Path, Sequence[str]],
) -> Sequence[PullStep]:
    """A step for each program. ``domain`` are all that it has, ``present`` the names of all that is in the folders.

    Raises SayingFault where one of the folder may be several of those that are pulled.
    """
    named = by_name(domain)
    wanted = {one.program.name for one in pulled}
    known = {found.uuid: here for here in local if here.name in wanted and (found := meant(here, named))}
    taken = {folder: {folded(name) for name in names} for folder, names in present.items()}

    def new_file(program: str, folder: Path) -> Path:
        name = file_name(program, taken.setdefault(folder, set()))
        taken[folder].add(folded(name))
        return folder / name

    return [
        _step(one, known.get(one.program.uuid), root, new_file, has_twin=len(named[one.program.name]) > 1)
        for one in pulled
    ]


def _step(
    pulled: Pulled,
    local: LocalProgram | None,
    root: Path,
    new_file: Callable[[str, Path], Path],
    *,
    has_twin: bool,
) -> PullStep:
    folder = local.folder if local else root
    file = local.file if local else None
    if file is None and (pulled.code is not None or local is None):
        file = new_file(pulled.program.name, folder)
    # A file whose code is gone in the domain stays: what is here is not deleted.
    writes_code = pulled.code is not None and (local is None or local.code != pulled.code)
    entry = _entry(pulled, local, file, folder, has_twin=has_twin)
    changed = writes_code or entry is not None
    writing = Writing.NEW if local is None else Writing.CHANGED if changed else Writing.UNCHANGED
    return PullStep(pulled, writing, file if pulled.code is not None else None, writes_code, entry)


def _entry(
    pulled: Pulled, local: LocalProgram | None, file: Path | None, folder: Path, *, has_twin: bool
) -> EntryWriting | None:
    """What a manifest must say so that a push finds the program as the domain has it; None if it is so already."""
    program = pulled.program
    wanted: dict[str, object] = program.specification.as_json()
    if local is not None and local.entry is not None:
        differing: dict[str, object] = {
            change.field: wanted[change.field] for change in changes(local.specification, program.specification)
        }
        if pulled.code is not None and not local.entry.has_code and file is not None:
            differing["file"] = file.name
        return EntryWriting(folder / MANIFEST, local.entry.key, differing) if differing else None
    assert file is not None
    code = pulled.code if pulled.code is not None or local is None else local.code
    if code is not None and not has_twin and _says(file, code) == (program.name, program.specification):
        return None
    values = _without_defaults(wanted)
    if file.name != program.name + SUFFIX:
        values = {"name": program.name, **values}
    if code is None:
        values["file"] = None
    if has_twin:
        values[UUID] = program.uuid
    return EntryWriting(folder / MANIFEST, file.name, values)


def _says(file: Path, code: bytes) -> tuple[str, Specification] | None:
    """What a file says of itself, in its leading comments and by its name."""
    try:
        found = as_found_in(code, file)
    except SayingFault:
        return None
    return found.name, found.specification


def _without_defaults(values: Mapping[str, object]) -> dict[str, object]:
    """The fields that need to be said; the type and the state always, for people."""
    default = Specification(type=ProgramType.MODULE.value).as_json()
    return {field: value for field, value in values.items() if field in ("type", "state") or value != default[field]}

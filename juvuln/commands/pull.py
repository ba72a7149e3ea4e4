"""`juvuln program pull`: a domain's programs are written into a folder, as `push` reads them."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from juvuln.commands.connection import DomainOption, ProfileOption, ServerOption, TokenOption, connect
from juvuln.commands.endings import ends_well_or_says_why
from juvuln.commands.output import JsonOption, QuietOption, counted, print_json
from shared.errors import SelfhostError

if TYPE_CHECKING:
    from juvuln.deploy.domain import DomainReader, RemoteProgram
    from juvuln.deploy.pulled import Pulled, PullStep

FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", file_okay=False, help="The folder; made if need be.")]
ProgramsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="PROGRAM", help="Only these, by name or uuid; else all.")
]
SignedOption = Annotated[
    bool, typer.Option("--signed", help="The newest signed code, which runs; else the newest, signed or not.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite what differs in the folder.")]


class PullRefused(SelfhostError):
    """What is in the folder differs, and would be lost; nothing was written."""


@ends_well_or_says_why
def pull_programs(
    folder: FolderArgument,
    programs: ProgramsArgument = None,
    signed: SignedOption = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    server: ServerOption = None,
    domain: DomainOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
) -> None:
    """Write programs of the domain into a folder.

    A push of it finds nothing to do. What differs in the folder is not overwritten without --force, and
    nothing there is ever deleted.
    """
    from juvuln.deploy.domain import DomainReader
    from juvuln.deploy.folder import read_folder
    from juvuln.deploy.pulled import plan_pull
    from juvuln.deploy.writing import write_pull

    reader = DomainReader(connect(server, domain, token, profile))
    local = read_folder(folder) if folder.exists() else []
    domain_has = reader.programs()
    pulled = _pull(reader, _chosen(domain_has, programs) if programs else domain_has, signed=signed)
    steps = plan_pull(pulled, local, domain_has, folder, _present(folder))
    if not force:
        _refuse_to_lose(steps)
    write_pull(steps)
    if as_json:
        print_json([_step_json(step) for step in steps])
    elif quiet:
        for step in steps:
            print(step.pulled.program.uuid)
    else:
        _print(steps, folder)


def _pull(reader: "DomainReader", programs: "Iterable[RemoteProgram]", *, signed: bool) -> "Sequence[Pulled]":
    from juvuln.deploy.pulled import Pulled

    pulled = []
    for program in programs:
        revision = reader.newest(program, signed=signed)
        pulled.append(Pulled(program, reader.code(program, revision) if revision else None))
    return pulled


def _chosen(programs: "Sequence[RemoteProgram]", wanted: Iterable[str]) -> "Sequence[RemoteProgram]":
    from juvuln.commands.errors import UnknownError
    from shared.terminal import harmless

    chosen = []
    for name in dict.fromkeys(wanted):
        found = [one for one in programs if name.lower() == one.uuid] or [one for one in programs if name == one.name]
        if not found:
            raise UnknownError(f"there is no program called {harmless(name)}", 404, {})
        chosen += [one for one in found if one not in chosen]
    return chosen


def _present(folder: Path) -> "Mapping[Path, Sequence[str]]":
    return {Path(path): [*folders, *files] for path, folders, files in os.walk(folder)}


def _refuse_to_lose(steps: "Iterable[PullStep]") -> None:
    from juvuln.deploy.pulled import Writing
    from shared.terminal import harmless

    changed = [step for step in steps if step.writing is Writing.CHANGED]
    if not changed:
        return
    lines = []
    for step in changed:
        name = harmless(step.pulled.program.name)
        if step.writes_code and step.file is not None and step.file.exists():
            lines.append(f"{step.file}: differs from {name} in the domain")
        if step.entry is not None:
            lines.append(f"{step.entry.manifest}: {name}: differs in {', '.join(step.entry.values)}")
    raise PullRefused("\n".join([*lines, "nothing was written; --force overwrites what differs here"]))


def _step_json(step: "PullStep") -> dict[str, object]:
    program = step.pulled.program
    file = str(step.file) if step.file else None
    return {"name": program.name, "uuid": program.uuid, "file": file, "writing": str(step.writing)}


def _print(steps: "Sequence[PullStep]", folder: Path) -> None:
    from juvuln.commands.table import format_table
    from juvuln.commands.terminal import standard_output
    from juvuln.deploy.pulled import Writing

    rows = [
        (step.writing, step.pulled.program.name, str(step.file) if step.file else "no code")
        for step in steps
        if step.writing is not Writing.UNCHANGED
    ]
    if rows:
        print("\n".join(format_table(("WRITTEN", "PROGRAM", "FILE"), rows, standard_output())))
    print(f"{len(rows)} of {counted(len(steps), 'program')} written; {folder} is as the domain")

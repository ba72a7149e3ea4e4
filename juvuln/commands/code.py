"""`juvuln program code`, `upload` and `diff`: the code of a program."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from juvuln.commands.arguments import ForceOption, ProgramArgument, SignOption, read_code
from juvuln.commands.connection import DomainOption, ProfileOption, ServerOption, TokenOption, connect
from juvuln.commands.endings import ends_well_or_says_why
from juvuln.commands.errors import UnknownError
from juvuln.commands.output import JsonOption, QuietOption, print_json
from juvuln.commands.sign import sign_revision
from shared.terminal import harmless

if TYPE_CHECKING:
    from juvuln.commands.client import Json


@ends_well_or_says_why
def upload_code(
    program: ProgramArgument,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The code; - is standard input.", show_default=False)],
    sign: SignOption = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    server: ServerOption = None,
    domain: DomainOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
) -> None:
    """Add a file's code to a program as a new revision."""
    code = read_code(file)
    client = connect(server, domain, token, profile)
    found = client.find(program)
    revision = client.upload(found["uuid"], code)
    if sign:
        revision = sign_revision(client, found, revision["revision"], code, force=force)
    if as_json:
        print_json(revision)
    elif quiet:
        print(revision["revision"])
    else:
        print(f"{'signed' if sign else 'uploaded'} revision {revision['revision']} of {harmless(found['name'])}")


@ends_well_or_says_why
def print_code(
    program: ProgramArgument,
    revision: Annotated[
        int | None,
        typer.Argument(
            metavar="REVISION", min=0, help="Which revision; the newest signed if not given.", show_default=False
        ),
    ] = None,
    server: ServerOption = None,
    domain: DomainOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
) -> None:
    """Print the code of a revision."""
    from juvuln.commands.source_output import write_source

    client = connect(server, domain, token, profile)
    write_source(client.code(client.find(program)["uuid"], revision), sys.stdout)


@ends_well_or_says_why
def print_diff(
    program: ProgramArgument,
    old: Annotated[
        int | None,
        typer.Argument(
            metavar="A",
            min=0,
            help="The older revision; else the newest signed before B.",
            show_default=False,
        ),
    ] = None,
    new: Annotated[
        int | None,
        typer.Argument(metavar="B", min=0, help="The newer revision; the newest if not given.", show_default=False),
    ] = None,
    server: ServerOption = None,
    domain: DomainOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
) -> None:
    """Print the difference between two revisions.

    Without more said, what a signature of the newest would change.
    """
    from juvuln.commands.source_output import write_diff

    client = connect(server, domain, token, profile)
    found = client.find(program)
    revisions = client.revisions(found["uuid"])
    if not revisions:
        raise UnknownError(f"{harmless(found['name'])} has no code yet", 404, {})
    newer = revisions[-1]["revision"] if new is None else new
    older = revision_before(revisions, newer) if old is None else old
    write_diff(client.diff(found["uuid"], older, newer), sys.stdout)


def revision_before(revisions: Sequence["Json"], newer: int) -> int:
    """The newest signed revision before ``newer``, or else the one before it; itself if it is the first."""
    before = [one for one in revisions if one["revision"] < newer]
    signed = [one for one in before if one["signed"]]
    numbers = [one["revision"] for one in signed or before]
    return max(numbers, default=newer)

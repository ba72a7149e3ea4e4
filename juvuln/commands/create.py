"""`juvuln program create`: a new program, with its code and a signature if they are given."""

from typing import Annotated

import typer

from juvuln.commands.arguments import ForceOption, SignOption, read_code
from juvuln.commands.connection import DomainOption, ProfileOption, ServerOption, TokenOption, connect, warn
from juvuln.commands.endings import ends_well_or_says_why
from juvuln.commands.errors import UsageError
from juvuln.commands.output import JsonOption, QuietOption, print_json
from juvuln.commands.sign import sign_revision
from shared.errors import SelfhostError
from shared.terminal import harmless

DEFAULT_DEADLINE_MS = 1000


@ends_well_or_says_why
def create_program(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called.", show_default=False)],
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="Its code; - is standard input.", show_default=False)
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="module, routine or webhook; with a schedule routine.",
            show_default=False,
        ),
    ] = None,
    schedule: Annotated[
        str, typer.Option("--schedule", metavar="SCHEDULE", help="When a routine is due; see juvuln next.")
    ] = "",
    deadline: Annotated[
        int, typer.Option("--deadline", metavar="MS", help="How long a run may take, in ms; 0 is the longest.")
    ] = DEFAULT_DEADLINE_MS,
    state: Annotated[str, typer.Option("--state", metavar="STATE", help="active or inactive.")] = "active",
    language: Annotated[str, typer.Option("--language", metavar="LANGUAGE", help="Of its code.")] = "tengo",
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="A tag; can be repeated.")] = None,
    sign: SignOption = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    server: ServerOption = None,
    domain: DomainOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
) -> None:
    """Create a program, with a first revision if there is a FILE."""
    if kind is None and not schedule:
        raise UsageError("say --type module, routine or webhook")
    if sign and file is None:
        raise UsageError("--sign signs the code of a FILE, and none is given")
    code = None if file is None else read_code(file)
    client = connect(server, domain, token, profile)
    namesakes = client.named(name)
    program = client.create(
        {
            "name": name,
            "type": kind or "routine",
            "state": state,
            "schedule": schedule,
            "deadline": deadline,
            "language": language,
            "tags": tag or [],
        }
    )
    if quiet:
        print(program["uuid"], flush=True)
    elif not as_json:
        print(f"created {program['uuid']}", flush=True)
    if namesakes:
        warn(f"{len(namesakes) + 1} programs are called {harmless(name)} now; the commands need the uuid")
    revision = None
    if code is not None:
        try:
            revision = client.upload(program["uuid"], code)
            if sign:
                revision = sign_revision(client, program, revision["revision"], code, force=force)
        except SelfhostError:
            warn(f"the program is created all the same: {program['uuid']}")
            raise
    if as_json:
        print_json({**program, "revision": revision})
    elif revision is not None and not quiet:
        print(f"{'signed' if revision['signed'] else 'uploaded'} revision {revision['revision']}")

"""`juvuln program activate`, `deactivate` and `delete`: what becomes of a program."""

from typing import Annotated

import typer

from juvuln.commands.arguments import ProgramArgument
from juvuln.commands.connection import DomainOption, ProfileOption, ServerOption, TokenOption, connect
from juvuln.commands.endings import ends_well_or_says_why
from juvuln.commands.terminal import confirm
from shared.start import EXIT_FAILURE
from shared.terminal import harmless

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@ends_well_or_says_why
def activate_program(
    program: ProgramArgument,
    server: ServerOption = None,
    domain: DomainOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
) -> None:
    """Let a program run: when due, called or imported."""
    client = connect(server, domain, token, profile)
    found = client.find(program)
    client.update(found["uuid"], {"state": "active"})
    print(f"{harmless(found['name'])} is active")


@ends_well_or_says_why
def deactivate_program(
    program: ProgramArgument,
    server: ServerOption = None,
    domain: DomainOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
) -> None:
    """Let a program rest until it is activated. What runs now runs to its end."""
    client = connect(server, domain, token, profile)
    found = client.find(program)
    client.update(found["uuid"], {"state": "inactive"})
    print(f"{harmless(found['name'])} is inactive")


@ends_well_or_says_why
def delete_program(
    program: ProgramArgument,
    yes: YesOption = False,
    server: ServerOption = None,
    domain: DomainOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
) -> None:
    """Delete a program and all its code, after a yes."""
    client = connect(server, domain, token, profile)
    found = client.find(program)
    name = harmless(found["name"])
    count = len(client.revisions(found["uuid"]))
    if not yes and not confirm(f"delete {found['type']} {name} ({found['uuid']}) and its {count} revisions?"):
        print(f"{name} stays")
        raise typer.Exit(EXIT_FAILURE)
    client.delete(found["uuid"])
    print(f"deleted {name}")

"""`juvuln program list`: which programs a domain has."""

from typing import Annotated

import typer

from juvuln.commands.connection import DomainOption, ProfileOption, ServerOption, TokenOption, connect
from juvuln.commands.endings import ends_well_or_says_why
from juvuln.commands.output import JsonOption, QuietOption, print_json


@ends_well_or_says_why
def list_programs(
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="TAG", help="Only those with this tag; can be repeated.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    server: ServerOption = None,
    domain: DomainOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
) -> None:
    """The programs of the domain that you may read, by name."""
    from juvuln.commands.programs_table import format_programs
    from juvuln.commands.terminal import standard_output

    programs = list(connect(server, domain, token, profile).programs(tag or []))
    if as_json:
        print_json(programs)
    elif quiet:
        for program in programs:
            print(program["uuid"])
    else:
        print(format_programs(programs, standard_output()), end="")

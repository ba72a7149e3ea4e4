"""`juvuln runs` and `juvuln program runs`: what ran, and how it ended."""

from typing import Annotated

import typer

from juvuln.commands.connection import DomainOption, ProfileOption, ServerOption, TokenOption, connect
from juvuln.commands.endings import ends_well_or_says_why
from juvuln.commands.output import JsonOption, QuietOption, print_json

LimitOption = Annotated[int, typer.Option("--limit", min=1, max=500, help="How many runs at most.")]


@ends_well_or_says_why
def list_runs(
    program: Annotated[
        str | None, typer.Argument(help="Only runs of this program: its name or uuid.", show_default=False)
    ] = None,
    limit: LimitOption = 20,
    log: Annotated[bool, typer.Option("--log/--no-log", help="Show the log lines of each run.")] = True,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    server: ServerOption = None,
    domain: DomainOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
) -> None:
    """What ran when, how it ended, how long it took, on which worker, with its log lines; newest first."""
    from juvuln.commands.runs_table import format_runs
    from juvuln.commands.terminal import standard_output

    client = connect(server, domain, token, profile)
    uuid = None if program is None else client.find(program)["uuid"]
    runs = client.runs(uuid, limit)
    if as_json:
        print_json(runs)
    elif quiet:
        for run in runs:
            print(run["id"])
    else:
        print(format_runs(runs, standard_output(), with_log=log), end="")

"""`juvuln runs` and `juvuln program runs`: what ran, and how it ended."""

import json
import sys
import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from juvuln.commands.arguments import OptionalProgramArgument
from juvuln.commands.connection import DomainOption, ProfileOption, ServerOption, TokenOption, connect, warn
from juvuln.commands.endings import ends_well_or_says_why
from juvuln.commands.interrupts import heard_when_interrupted
from juvuln.commands.output import JsonOption, QuietOption, print_json
from juvuln.commands.terminal import standard_output

if TYPE_CHECKING:
    from juvuln.commands.watch import RunWatch

WATCH_SECONDS = 1.0

LimitOption = Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, max=500, help="How many runs at most.")]


@ends_well_or_says_why
def list_runs(
    program: OptionalProgramArgument = None,
    limit: LimitOption = 20,
    outcome: Annotated[
        list[str] | None,
        typer.Option("--outcome", metavar="OUTCOME", help="Only with this outcome, such as failed; can be repeated."),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Oldest first, and go on with what ends, until Ctrl-C.")
    ] = False,
    log: Annotated[bool, typer.Option("--log/--no-log", help="Show the log lines of each run.")] = True,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    server: ServerOption = None,
    domain: DomainOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
) -> None:
    """What ran when, and how it ended; newest first.

    Each with how long it took, on which worker, what went wrong, and its log lines.
    """
    from juvuln.commands.runs_table import NOTHING_HAS_RUN, format_runs
    from juvuln.commands.watch import RunWatch

    client = connect(server, domain, token, profile)
    uuid = None if program is None else client.find(program)["uuid"]
    found = client.runs(uuid, limit, outcomes=outcome or ())
    if watch:
        # All runs are watched, since those that are under way may yet end as is asked for.
        runs = RunWatch(lambda most, before: client.runs(uuid, most, before), limit)
        with heard_when_interrupted():
            _watch(runs, outcome or (), as_json=as_json, quiet=quiet, with_log=log)
    elif as_json:
        print_json(found)
    elif quiet:
        for run in found:
            print(run["id"])
    else:
        nothing = "there is no run with this outcome" if outcome else NOTHING_HAS_RUN
        print(format_runs(found, standard_output(), with_log=log, nothing=nothing), end="")


def _watch(runs: "RunWatch", outcomes: Collection[str], *, as_json: bool, quiet: bool, with_log: bool) -> NoReturn:
    """Print runs as they end; with JSON one on each line."""
    from juvuln.commands.runs_table import RunsTable
    from juvuln.commands.watch import look_again

    table = RunsTable(standard_output(), with_log=with_log)
    seen = runs.look()
    while True:
        ended = [run for run in seen.ended if not outcomes or run["outcome"] in outcomes]
        if as_json:
            lines = [json.dumps(run) for run in ended]
        elif quiet:
            lines = [run["id"] for run in ended]
        else:
            lines = table.lines(ended)
        for line in lines:
            print(line)
        sys.stdout.flush()
        time.sleep(WATCH_SECONDS)
        seen = look_again(runs.look, warn, WATCH_SECONDS)

"""`juvuln program logs`: what a program has logged and, with --follow, what it logs now."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from juvuln.commands.arguments import ProgramArgument
from juvuln.commands.connection import DomainOption, ProfileOption, ServerOption, TokenOption, connect, warn
from juvuln.commands.endings import ends_well_or_says_why
from juvuln.commands.interrupts import heard_when_interrupted
from juvuln.commands.runs import LimitOption
from juvuln.commands.terminal import Terminal, standard_output

if TYPE_CHECKING:
    from juvuln.commands.client import ApiClient
    from juvuln.commands.follow import Event
    from juvuln.commands.watch import Look


@ends_well_or_says_why
def print_logs(
    program: ProgramArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    run: Annotated[
        str | None, typer.Option("--run", metavar="ID", help="Only this run's lines.", show_default=False)
    ] = None,
    limit: LimitOption = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs: an object for each line.")] = False,
    server: ServerOption = None,
    domain: DomainOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
) -> None:
    """What the last runs of a program logged; oldest first.

    With the reason of those that did not succeed.
    """
    from juvuln.commands.follow import Follower, from_record

    client = connect(server, domain, token, profile)
    uuid = client.find(program)["uuid"]
    look, terminal = _look(client, uuid, run, limit), standard_output()
    if follow:
        events = Follower(look, lambda one: client.follow_log(uuid, one), warn).events()
    else:
        seen = look()
        events = (event for ended in (seen.ended if seen else ()) for event in from_record(ended))
    with heard_when_interrupted():
        for event in events:
            text = _as_json(event) if as_json else _as_text(event, terminal)
            if text is not None:
                print(text, flush=True)


def _look(client: "ApiClient", uuid: str, run: str | None, limit: int) -> Callable[[], "Look | None"]:
    """At the program's runs, or at one alone."""
    from juvuln.commands.watch import OneRun, RunWatch

    if run is not None:
        return OneRun(lambda: client.one_run(uuid, run)).look
    return RunWatch(lambda most, before: client.runs(uuid, most, before), limit).look


def _as_text(event: "Event", terminal: Terminal) -> str | None:
    from juvuln.commands.follow import Written
    from juvuln.commands.log_lines import ending_text, line_text

    return line_text(event.line, terminal) if isinstance(event, Written) else ending_text(event.run, terminal)


def _as_json(event: "Event") -> str | None:
    from juvuln.commands.follow import Written

    return json.dumps({"run": event.run["id"], **event.line}) if isinstance(event, Written) else None

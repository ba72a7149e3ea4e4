"""`juvuln program show`: all about one program."""

from juvuln.commands.arguments import ProgramArgument
from juvuln.commands.connection import DomainOption, ProfileOption, ServerOption, TokenOption, connect
from juvuln.commands.endings import ends_well_or_says_why
from juvuln.commands.output import JsonOption, QuietOption, print_json

LAST_RUNS = 5


@ends_well_or_says_why
def show_program(
    program: ProgramArgument,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    server: ServerOption = None,
    domain: DomainOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
) -> None:
    """All about one program.

    Its specification, when it is due next and its policies or where it is called, its revisions and its last runs.
    """
    from datetime import UTC, datetime

    from juvuln.commands.next_due import next_due
    from juvuln.commands.programs_table import format_program
    from juvuln.commands.terminal import standard_output

    client = connect(server, domain, token, profile)
    found = client.find(program)
    if quiet:
        print(found["uuid"])
        return
    revisions = client.revisions(found["uuid"])
    runs = client.runs(found["uuid"], LAST_RUNS)
    schedule = client.schedule(found["uuid"]) if found["type"] == "routine" else None
    due = next_due(found, revisions, runs, datetime.now(UTC))
    if as_json:
        times = [instant.isoformat() for instant in due.times]
        print_json({**found, "revisions": revisions, "runs": runs, "next": times, "schedule_state": schedule})
    else:
        url = client.webhook_url(found["uuid"]) if found["type"] == "webhook" else None
        print(format_program(found, due, schedule, revisions, runs, standard_output(), url=url), end="")

"""`juvuln program …`: the programs of a domain, by way of the API. One line for each command."""

import typer

from juvuln.commands.listing import list_programs
from juvuln.commands.next import next_command
from juvuln.commands.push import push_programs

app = typer.Typer(
    name="program", help="The programs of a domain, by way of the API.", no_args_is_help=True, rich_markup_mode=None
)

app.command("next")(next_command)
app.command("push")(push_programs)
app.command("list")(list_programs)

"""`juvuln program …`: the programs of a domain, by way of the API. One line for each command."""

import typer

from juvuln.commands.change import activate_program, deactivate_program, delete_program
from juvuln.commands.code import print_code, print_diff, upload_code
from juvuln.commands.create import create_program
from juvuln.commands.listing import list_programs
from juvuln.commands.logs import print_logs
from juvuln.commands.next import next_command
from juvuln.commands.pull import pull_programs
from juvuln.commands.push import push_programs
from juvuln.commands.run import run_program
from juvuln.commands.runs import list_runs
from juvuln.commands.show import show_program
from juvuln.commands.sign import sign_program

app = typer.Typer(
    name="program", help="The programs of a domain, by way of the API.", no_args_is_help=True, rich_markup_mode=None
)

app.command("list")(list_programs)
app.command("show")(show_program)
app.command("create")(create_program)
app.command("upload")(upload_code)
app.command("code")(print_code)
app.command("diff")(print_diff)
app.command("sign")(sign_program)
app.command("activate")(activate_program)
app.command("deactivate")(deactivate_program)
app.command("run")(run_program)
app.command("runs")(list_runs)
app.command("logs")(print_logs)
app.command("delete")(delete_program)
app.command("push")(push_programs)
app.command("pull")(pull_programs)
app.command("next")(next_command)

"""The command line of juvuln: the daemon itself, and a look at what ran."""

from typing import Annotated

import typer

from juvuln.commands import domain, program, worker
from juvuln.commands.login import login
from juvuln.commands.next import next_command
from juvuln.commands.runs import list_runs
from juvuln.commands.status import show_status
from juvuln.start import PROGRAM, run
from shared.cli import CheckConfigOption, ConfigOption, daemon_app, exit_with, version_option

app = daemon_app(
    PROGRAM,
    "The Program Manager of Self-host: runs the programs of all domains on their schedule and when called. Without a "
    "command it runs as a daemon, in the foreground, until SIGTERM.",
    epilog="Every setting can be given in the configuration file, or by an environment variable: the port is "
    "listen.port in the file and JUVULN_LISTEN__PORT in the environment. It needs to know its domainfile; without "
    "more it listens on 127.0.0.1:8097.",
)

app.add_typer(domain.app)
app.add_typer(program.app)
app.add_typer(worker.app)
app.command("login")(login)
app.command("next")(next_command)
app.command("runs")(list_runs)
app.command("status")(show_status)


@app.callback(invoke_without_command=True)
def daemon(
    context: typer.Context,
    config: ConfigOption = None,
    check_config: CheckConfigOption = False,
    version: Annotated[bool, version_option(PROGRAM)] = False,
) -> None:
    if context.invoked_subcommand is None:
        exit_with(PROGRAM, lambda: run(config, check_only=check_config))

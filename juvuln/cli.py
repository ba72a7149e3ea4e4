"""The command line of juvuln: the daemon itself, and a look at what ran."""

import os
from pathlib import Path
from typing import Annotated

import typer

from juvuln.commands import domain, program, worker
from juvuln.commands.login import login
from juvuln.commands.next import next_command
from juvuln.commands.runs import list_runs
from juvuln.commands.status import show_status
from shared.cli import (
    CheckConfigOption,
    ConfigOption,
    daemon_app,
    exit_with,
    run_app,
    serve,
    version_option,
)

PROGRAM = "juvuln"

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


def main() -> None:
    run_app(app)


@app.callback(invoke_without_command=True)
def daemon(
    context: typer.Context,
    config: ConfigOption = None,
    check_config: CheckConfigOption = False,
    version: Annotated[bool, version_option(PROGRAM)] = False,
) -> None:
    if context.invoked_subcommand is None:
        exit_with(PROGRAM, lambda: _run(config, check_only=check_config))


def _run(config: Path | None, *, check_only: bool) -> int:
    # Imported here, so that the other commands start in a blink.
    from juvuln.config import JuvulnSettings
    from shared.config import find_config_file, load_settings

    config_file = find_config_file(config, os.environ)
    settings = load_settings(JuvulnSettings, config_file, os.environ)
    # And this here, so that wrong settings are told before most of the program is read.
    from juvuln.manager import check_configuration, open_manager

    if check_only:
        domains = check_configuration(settings, config_file)
        print(f"{PROGRAM}: configuration is good: {config_file or 'the environment alone'}, domains: {domains}")
        return 0
    return serve(PROGRAM, settings, open_manager(settings, config_file))

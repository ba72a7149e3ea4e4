"""The command line of juvuln: the daemon itself, and a look at what ran."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from juvuln.commands import domain, program
from juvuln.commands.next import next_command
from shared.cli import (
    EXIT_USAGE,
    CheckConfigOption,
    ConfigOption,
    daemon_app,
    exit_with,
    report_error,
    serve,
    version_option,
)
from shared.errors import SelfhostError

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
app.command("next")(next_command)


def main() -> None:
    app()


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
    from juvuln.manager import check_configuration, open_manager
    from shared.config import find_config_file, load_settings

    config_file = find_config_file(config, os.environ)
    settings = load_settings(JuvulnSettings, config_file, os.environ)

    if check_only:
        domains = check_configuration(settings, config_file)
        print(f"{PROGRAM}: configuration is good: {config_file or 'the environment alone'}, domains: {domains}")
        return 0
    return serve(PROGRAM, settings, open_manager(settings, config_file))


@app.command("runs")
def runs_command(
    program: Annotated[str | None, typer.Argument(help="Only runs of this program: its name or uuid.")] = None,
    server: Annotated[
        str, typer.Option(envvar="SELFHOST_SERVER", help="Where juvuln listens.")
    ] = "http://127.0.0.1:8097",
    domain: Annotated[str, typer.Option(envvar="SELFHOST_DOMAIN", help="The domain.")] = "",
    token: Annotated[
        str, typer.Option(envvar="SELFHOST_TOKEN", help="A token of the domain; better given by the variable.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many runs at most.")] = 20,
    log: Annotated[bool, typer.Option("--log/--no-log", help="Show the log lines of each run.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """What ran when, how it ended, how long it took, on which worker, with its log lines; newest first."""
    from juvuln.commands.client import ApiClient
    from juvuln.commands.runs_table import format_runs

    if not domain or not token:
        print(f"{PROGRAM}: say which domain, and show a token: --domain and --token,", file=sys.stderr)
        print(f"{PROGRAM}: or the variables SELFHOST_DOMAIN and SELFHOST_TOKEN", file=sys.stderr)
        raise typer.Exit(EXIT_USAGE)
    try:
        client = ApiClient(server, domain, token)
        runs: list[dict[str, Any]] = client.runs(program, limit)
    except SelfhostError as error:
        raise typer.Exit(report_error(PROGRAM, error)) from None
    if as_json:
        import json

        print(json.dumps(runs, indent=2))
    else:
        print(format_runs(runs, with_log=log), end="")

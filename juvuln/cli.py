"""The command line of juvuln: the daemon itself, and a look at what ran."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from juvuln.config import JuvulnSettings, check_exposure, domain_file_path
from shared import project_version
from shared.cli import EXIT_USAGE, report_error
from shared.config import find_config_file, load_settings
from shared.errors import SelfhostError

PROGRAM = "juvuln"

app = typer.Typer(
    name=PROGRAM,
    help="The Program Manager of Self-host. Without a command it runs as a daemon, in the foreground, until SIGTERM.",
    no_args_is_help=False,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="The configuration file; else the one that CONFIG_FILENAME names."),
]


def main() -> None:
    app()


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"{PROGRAM} {project_version()}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def daemon(
    context: typer.Context,
    config: ConfigOption = None,
    check_config: Annotated[bool, typer.Option("--check-config", help="Check the configuration and end.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    if context.invoked_subcommand is not None:
        return
    try:
        config_file = find_config_file(config, os.environ)
        settings = load_settings(JuvulnSettings, config_file, os.environ)
        if check_config:
            _check(settings, config_file)
            return
        raise typer.Exit(_serve(settings, config_file))
    except SelfhostError as error:
        raise typer.Exit(report_error(PROGRAM, error)) from None


def _check(settings: JuvulnSettings, config_file: Path | None) -> None:
    """Everything that can be said without starting. Raises ConfigurationError."""
    from juvuln.database import check_database_url
    from juvuln.domains.file import read_domain_file

    check_exposure(settings)
    check_database_url(settings.effective_database)
    domains = read_domain_file(domain_file_path(settings, config_file))
    source = config_file or "the environment alone"
    print(f"{PROGRAM}: configuration is good: {source}, {len(domains)} domains")


def _serve(settings: JuvulnSettings, config_file: Path | None) -> int:
    # The command line's other commands start in a blink because they do not import what only the daemon needs.
    from juvuln.manager import open_manager
    from shared.daemon import run_daemon
    from shared.logging import configure_logging
    from shared.notify import SystemdNotifier

    configure_logging(PROGRAM, log_format=settings.log.format, level=settings.log.level)
    return run_daemon(open_manager(settings, config_file), SystemdNotifier.from_environment(os.environ))


@app.command("runs")
def runs_command(
    program: Annotated[str | None, typer.Argument(help="Only runs of this program (a uuid).")] = None,
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
    from juvuln.client import ApiClient
    from juvuln.runs_table import format_runs

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

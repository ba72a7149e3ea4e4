"""The command line of malgomaj: the daemon itself."""

import os
from pathlib import Path
from typing import Annotated

import typer

from malgomaj.config import WorkerSettings
from malgomaj.peer import Peer
from shared import project_version
from shared.cli import report_error
from shared.config import find_config_file, load_settings
from shared.errors import SelfhostError

PROGRAM = "malgomaj"

app = typer.Typer(
    name=PROGRAM,
    help="The Program Worker of Self-host: compiles and runs the programs that a program manager (juvuln) sends to it. "
    "Runs as a daemon, in the foreground, until SIGTERM.",
    epilog="Every setting can be given in the configuration file, or by an environment variable: the port is "
    "listen.port in the file and MALGOMAJ_LISTEN__PORT in the environment. Without either it listens on "
    "127.0.0.1:8096 and works for the manager on 127.0.0.1:8097.",
    no_args_is_help=False,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    app()


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"{PROGRAM} {project_version()}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def daemon(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="The configuration file; else the one that CONFIG_FILENAME names."
        ),
    ] = None,
    check_config: Annotated[bool, typer.Option("--check-config", help="Check the configuration and end.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    if context.invoked_subcommand is not None:
        return
    try:
        config_file = find_config_file(config, os.environ)
        settings = load_settings(WorkerSettings, config_file, os.environ)
        if check_config:
            _check(settings, config_file)
            return
        raise typer.Exit(_serve(settings))
    except SelfhostError as error:
        raise typer.Exit(report_error(PROGRAM, error)) from None


def _check(settings: WorkerSettings, config_file: Path | None) -> None:
    manager = Peer.at(settings.program_manager.scheme, settings.program_manager.authority).base_url
    listens = f"listens on {settings.listen.host}:{settings.listen.port}"
    source = config_file or "the environment alone"
    print(f"{PROGRAM}: configuration is good: {source}, {listens}, works for {manager}")


def _serve(settings: WorkerSettings) -> int:
    # Checking the configuration takes no time because it does not import what only the daemon needs.
    from malgomaj.worker import open_worker
    from shared.daemon import run_daemon
    from shared.logging import configure_logging
    from shared.notify import SystemdNotifier

    configure_logging(PROGRAM, log_format=settings.log.format, level=settings.log.level)
    return run_daemon(open_worker(settings), SystemdNotifier.from_environment(os.environ))

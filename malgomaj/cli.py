"""The command line of malgomaj: the daemon itself."""

import os
from pathlib import Path
from typing import Annotated

import typer

from malgomaj.config import WorkerSettings
from malgomaj.peer import Peer
from shared.cli import CheckConfigOption, ConfigOption, daemon_app, exit_with, serve, version_option
from shared.config import find_config_file, load_settings

PROGRAM = "malgomaj"

app = daemon_app(
    PROGRAM,
    "The Program Worker of Self-host: compiles and runs the programs that a program manager (juvuln) sends to it. "
    "Runs as a daemon, in the foreground, until SIGTERM.",
    epilog="Every setting can be given in the configuration file, or by an environment variable: the port is "
    "listen.port in the file and MALGOMAJ_LISTEN__PORT in the environment. Without either it listens on "
    "127.0.0.1:8096 and works for the manager on 127.0.0.1:8097.",
)


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
    config_file = find_config_file(config, os.environ)
    settings = load_settings(WorkerSettings, config_file, os.environ)
    if check_only:
        _print_good(settings, config_file)
        return 0
    from malgomaj.worker import open_worker

    return serve(PROGRAM, settings, open_worker(settings))


def _print_good(settings: WorkerSettings, config_file: Path | None) -> None:
    manager = Peer.at(settings.program_manager.scheme, settings.program_manager.authority).base_url
    listens = f"listens on {settings.listen.host}:{settings.listen.port}"
    source = config_file or "the environment alone"
    print(f"{PROGRAM}: configuration is good: {source}, {listens}, works for {manager}")

"""How malgomaj starts: as the daemon, or as what its command line says."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from shared.start import serve, start

if TYPE_CHECKING:
    from malgomaj.config import WorkerSettings

PROGRAM = "malgomaj"


def main() -> int:
    return start(PROGRAM, run, read_command_line)


def read_command_line() -> None:
    from malgomaj.cli import app

    app()


def run(config: Path | None, *, check_only: bool = False) -> int:
    settings, config_file = settings_from(config)
    if check_only:
        _print_good(settings, config_file)
        return 0
    from malgomaj.worker import open_worker

    return serve(PROGRAM, settings, open_worker(settings))


def settings_from(config: Path | None) -> tuple["WorkerSettings", Path | None]:
    """The settings, and the file that they are from, if any. Raises ConfigurationError."""
    from malgomaj.config import WorkerSettings
    from shared.config import find_config_file, load_settings

    config_file = find_config_file(config, os.environ)
    return load_settings(WorkerSettings, config_file, os.environ), config_file


def _print_good(settings: "WorkerSettings", config_file: Path | None) -> None:
    from malgomaj.peer import Peer

    manager = Peer.at(settings.program_manager.scheme, settings.program_manager.authority).base_url
    listens = f"listens on {settings.listen.host}:{settings.listen.port}"
    source = config_file or "the environment alone"
    print(f"{PROGRAM}: configuration is good: {source}, {listens}, works for {manager}")

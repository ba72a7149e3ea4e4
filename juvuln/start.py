"""How juvuln starts: as the daemon, or as what its command line says."""

import os
from pathlib import Path

from shared.start import serve, start

PROGRAM = "juvuln"


def main() -> int:
    return start(PROGRAM, run, read_command_line)


def read_command_line() -> None:
    from juvuln.cli import app

    app()


def run(config: Path | None, *, check_only: bool = False) -> int:
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

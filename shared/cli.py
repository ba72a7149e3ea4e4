"""What both command lines have in common: options, clear errors, and an exit status that means something."""

import os
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from shared import project_version
from shared.errors import ConfigurationError, SelfhostError

if TYPE_CHECKING:
    from shared.config import DaemonSettings
    from shared.daemon import Daemon

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_CONFIGURATION = 78
"""EX_CONFIG of sysexits.h: a restart will not help; the systemd units know."""

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="The configuration file; else the one that CONFIG_FILENAME names."),
]
CheckConfigOption = Annotated[bool, typer.Option("--check-config", help="Check the configuration and end.")]


def daemon_app(name: str, help_text: str, epilog: str | None = None) -> typer.Typer:
    """A command line that runs a daemon where no command is given."""
    return typer.Typer(
        name=name,
        help=help_text,
        epilog=epilog,
        no_args_is_help=False,
        add_completion=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )


def run_app(app: typer.Typer) -> None:
    """Run the command line that this process was started for, to its end."""
    # Typer brings rich, and structlog imports it wherever it is found: four megabytes that nothing here makes use of.
    sys.modules["rich"] = None  # type: ignore[assignment]
    app()


def version_option(program: str) -> Any:
    """The option ``--version``."""

    def print_version(wanted: bool) -> None:
        if wanted:
            print(f"{program} {project_version()}")
            raise typer.Exit

    return typer.Option("--version", help="Print the version and end.", callback=print_version, is_eager=True)


def exit_with(program: str, work: Callable[[], int]) -> NoReturn:
    """End with the status that ``work`` gives, or with that of the SelfhostError that it raises, which is printed."""
    try:
        status = work()
    except SelfhostError as error:
        status = report_error(program, error)
    raise typer.Exit(status)


def report_error(program: str, error: SelfhostError) -> int:
    """Print ``error`` line by line, each with the program's name before it; gives the exit status."""
    for line in str(error).splitlines():
        print(f"{program}: {line}", file=sys.stderr)
    return EXIT_CONFIGURATION if isinstance(error, ConfigurationError) else EXIT_FAILURE


def serve(program: str, settings: "DaemonSettings", opened: "AbstractAsyncContextManager[Daemon]") -> int:
    """Run a daemon to its end, with its logging and systemd's notifications; gives the exit status."""
    # Commands that run no daemon start in a blink because they do not import what only a daemon needs.
    from shared.allocator import give_memory_back
    from shared.connections import raise_descriptor_limit
    from shared.daemon import run_daemon
    from shared.logging import configure_logging
    from shared.notify import SystemdNotifier

    give_memory_back()
    raise_descriptor_limit()
    configure_logging(program, log_format=settings.log.format, level=settings.log.level)
    return run_daemon(opened, SystemdNotifier.from_environment(os.environ))

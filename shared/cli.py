"""What both command lines have in common."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from shared import project_version
from shared.start import status_of

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


def version_option(program: str) -> Any:
    """The option ``--version``."""

    def print_version(wanted: bool) -> None:
        if wanted:
            print(f"{program} {project_version()}")
            raise typer.Exit

    return typer.Option("--version", help="Print the version and end.", callback=print_version, is_eager=True)


def exit_with(program: str, work: Callable[[], int]) -> NoReturn:
    """End with the status that ``work`` gives, or with that of the SelfhostError that it raises, which is printed."""
    raise typer.Exit(status_of(program, work))

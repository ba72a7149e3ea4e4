"""`juvuln status`: how the manager, its domains and its workers are, for who runs them."""

import json
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from juvuln.commands.endings import PROGRAM, ends_well_or_says_why
from juvuln.commands.errors import UnreachableError
from juvuln.commands.operator import ManagerOption, call_manager
from juvuln.commands.output import JsonOption, print_json
from juvuln.commands.terminal import standard_output
from shared.cli import ConfigOption
from shared.start import EXIT_FAILURE, report_error

if TYPE_CHECKING:
    from juvuln.commands.transport import Transport

WATCH_SECONDS = 2.0
CLEAR = "\x1b[H\x1b[2J"


@ends_well_or_says_why
def show_status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Again and again, until Ctrl-C.")] = False,
    as_json: JsonOption = False,
    server: ManagerOption = None,
    config: ConfigOption = None,
) -> None:
    """How the manager, its domains and its workers are.

    With what is due next and what failed last. Status 1 if something is wrong, 3 if the manager cannot be reached. It
    shows the secret of manager and workers, so it is for who may read that.
    """
    manager = call_manager(server, config)
    if watch:
        _watch(manager, as_json=as_json)
    overview = _overview(manager)
    if as_json:
        print_json(overview)
    else:
        print(_as_text(overview), end="")
    if not overview["manager"]["ready"]:
        raise typer.Exit(EXIT_FAILURE)


def _watch(manager: "Transport", *, as_json: bool) -> NoReturn:
    """A manager that cannot be reached is waited for."""
    while True:
        try:
            overview = _overview(manager)
        except UnreachableError as error:
            report_error(PROGRAM, error)
        else:
            print(json.dumps(overview) if as_json else _page(_as_text(overview)))
        sys.stdout.flush()
        time.sleep(WATCH_SECONDS)


def _overview(manager: "Transport") -> dict[str, Any]:
    overview: dict[str, Any] = manager.json("GET", "/v1/overview")
    return overview


def _as_text(overview: dict[str, Any]) -> str:
    from juvuln.commands.status_text import format_overview

    return format_overview(overview, standard_output())


def _page(text: str) -> str:
    """In place of the last one, where the terminal can do that."""
    return f"{CLEAR}{text}" if standard_output().colours else text

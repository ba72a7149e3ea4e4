"""How every command ends: with an exit status that means something and, if it failed, a line on standard error."""

import io
import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import typer

from juvuln.commands.errors import EXIT_INTERRUPTED, UsageError, exit_status
from shared.errors import SelfhostError
from shared.start import report_error

PROGRAM = "juvuln"

P = ParamSpec("P")


def ends_well_or_says_why(command: Callable[P, None]) -> Callable[P, None]:
    """For a command: what it raises becomes a line on standard error and an exit status.

    Ctrl-C ends it at once. Whoever reads its output may leave before its end, as ``head`` does.
    """

    @wraps(command)
    def work(*arguments: P.args, **options: P.kwargs) -> None:
        _print_what_cannot_be_printed()
        try:
            command(*arguments, **options)
            sys.stdout.flush()
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except BrokenPipeError:
            # Python would try again at its end, and complain in its own words.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except UnicodeError:
            raise _ended(UsageError("an argument, a variable or standard input holds bytes that are no text")) from None
        except SelfhostError as error:
            raise _ended(error) from None

    return work


def _ended(error: SelfhostError) -> typer.Exit:
    report_error(PROGRAM, error)
    return typer.Exit(exit_status(error))


def _print_what_cannot_be_printed() -> None:
    """Programs may have names that the terminal's encoding has no signs for."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

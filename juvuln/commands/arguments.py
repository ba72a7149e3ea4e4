"""Arguments that several commands have in common, and what the shell offers to complete them."""

from contextlib import suppress
from typing import Annotated

import typer

from juvuln.commands.connection import Options, client_for, find_connection
from juvuln.commands.errors import UsageError
from shared.errors import SelfhostError

COMPLETION_TIMEOUT_SECONDS = 1.0
"""Who presses TAB does not wait for longer."""
MAX_SOURCE_BYTES = 1024 * 1024
"""As much code as the server takes (Self-host contract)."""


def program_names(context: typer.Context, incomplete: str) -> list[str]:
    """The names that begin with ``incomplete``; none, in silence, if they cannot be had."""
    given = context.params
    options = Options(given.get("server"), given.get("domain"), given.get("token"), given.get("profile"))
    with suppress(SelfhostError):
        names = client_for(find_connection(options), COMPLETION_TIMEOUT_SECONDS).first_programs()
        return sorted({one["name"] for one in names if one["name"].startswith(incomplete)})
    return []


ProgramArgument = Annotated[
    str,
    typer.Argument(
        metavar="PROGRAM", help="A program's name or uuid.", autocompletion=program_names, show_default=False
    ),
]
OptionalProgramArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="PROGRAM",
        help="Only this program: its name or uuid.",
        autocompletion=program_names,
        show_default=False,
    ),
]
SignOption = Annotated[bool, typer.Option("--sign", help="Sign the new revision, so that it runs.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Sign what does not compile, too.")]


def read_code(file: str) -> bytes:
    """The code in a file, or on standard input for ``-``. Raises UsageError."""
    import sys

    try:
        if file == "-":
            code = sys.stdin.buffer.read(MAX_SOURCE_BYTES + 1)
        else:
            with open(file, "rb") as source:  # noqa: PTH123 - as the shell says it
                code = source.read(MAX_SOURCE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error
    if len(code) > MAX_SOURCE_BYTES:
        raise UsageError(f"{file}: a program has at most {MAX_SOURCE_BYTES} bytes")
    if not code.strip():
        raise UsageError(f"{file}: there is no code in it")
    return code

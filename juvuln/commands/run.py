"""`juvuln program run`: run a program now, and see how it goes."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from juvuln.commands.arguments import ProgramArgument
from juvuln.commands.connection import DomainOption, ProfileOption, ServerOption, TokenOption, connect
from juvuln.commands.endings import ends_well_or_says_why
from juvuln.commands.errors import UsageError
from juvuln.commands.output import JsonOption, QuietOption, print_json
from shared.start import EXIT_FAILURE
from shared.terminal import harmless

if TYPE_CHECKING:
    pass

MAX_BODY_BYTES = 64 * 1024 * 1024
"""More than any manager can be told to take."""


@ends_well_or_says_why
def run_program(
    program: ProgramArgument,
    asynchronous: Annotated[
        bool, typer.Option("--async", help="Do not wait for its end; say which run it is.")
    ] = False,
    body: Annotated[
        str | None,
        typer.Option(metavar="FILE|-", help="What a webhook is sent: a file, or standard input.", show_default=False),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:VALUE", help="A header that a webhook is sent; can be repeated.", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    server: ServerOption = None,
    domain: DomainOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
) -> None:
    """Run a program now, and print what came of it.

    It is the newest signed revision of a routine or webhook that runs. Ends with 1 if the program did not end well.
    """
    from juvuln.commands.runs_table import format_ended

    headers = parse_headers(header or [])
    content = _read_body(body)
    client = connect(server, domain, token, profile)
    run = client.run(client.find(program)["uuid"], content, headers, wait=not asynchronous)
    if as_json:
        print_json(run)
    elif quiet:
        print(run["id"])
    elif asynchronous:
        print(f"run {run['id']} is under way")
    else:
        from juvuln.commands.terminal import standard_output

        print(format_ended(run, standard_output()), end="")
    if not asynchronous and run["outcome"] != "succeeded":
        raise typer.Exit(EXIT_FAILURE)


def parse_headers(given: Iterable[str]) -> dict[str, str]:
    """Raises UsageError for what is no header."""
    headers: dict[str, str] = {}
    for text in given:
        name, colon, value = text.partition(":")
        name, value = name.strip(), value.strip()
        if not colon or not name or not text.isprintable() or not name.isascii() or " " in name:
            raise UsageError(f"--header {harmless(text)}: is not NAME: VALUE")
        if name.lower() in ("authorization", "content-length", "transfer-encoding", "host", "connection"):
            raise UsageError(f"--header {harmless(name)}: this one is not for the program")
        headers[name] = value
    return headers


def _read_body(file: str | None) -> bytes:
    import sys
    from pathlib import Path

    if file is None:
        return b""
    try:
        return sys.stdin.buffer.read(MAX_BODY_BYTES) if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"--body {file}: cannot be read: {error.strerror}") from error

"""What a command prints, for people or for programs: the options that choose, and JSON."""

import json
from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs: the fields are those of the API.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print only what a script needs: uuids or ids.")]


def print_json(content: object) -> None:
    print(json.dumps(content, indent=2))


def counted(number: int | None, noun: str) -> str:
    """``1 program``, ``2 programs``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

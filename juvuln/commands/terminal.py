"""The terminal that a command talks to: how wide it is, whether it shows colours, whether somebody can answer."""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TextIO

from juvuln.commands.errors import UsageError


class Colour(StrEnum):
    """What an ECMA-48 terminal is told."""

    RED = "31"
    GREEN = "32"
    YELLOW = "33"
    CYAN = "36"
    FAINT = "2"
    BOLD = "1"


@dataclass(frozen=True, slots=True)
class Terminal:
    """``width`` is None where the output is no terminal: then nothing is cut."""

    width: int | None = None
    colours: bool = False

    def paint(self, text: str, colour: Colour | None) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if colour and self.colours else text


def terminal_of(stream: TextIO, environ: Mapping[str, str]) -> Terminal:
    """What ``stream`` shows; no colours where the variable NO_COLOR is set, or the terminal is a dumb one."""
    if not stream.isatty():
        return Terminal()
    colours = not environ.get("NO_COLOR") and environ.get("TERM", "dumb") != "dumb"
    return Terminal(shutil.get_terminal_size().columns, colours)


def standard_output() -> Terminal:
    return terminal_of(sys.stdout, os.environ)


def confirm(question: str) -> bool:
    """Whether somebody says yes. Raises UsageError where there is nobody to ask: then ``--yes`` says it."""
    if not sys.stdin.isatty():
        raise UsageError(f"{question}\nnobody can be asked here; --yes says yes")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")

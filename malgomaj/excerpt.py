"""The line of source that an error is about, with a caret under the place: text that is safe to show on a terminal."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

MAX_COLUMNS = 100
MAX_COLUMNS_BEFORE = 60
INDENT = "    "
TAB = "    "

_PLACE = re.compile(r"(?P<file>.*):(?P<line>\d+):(?P<column>\d+)", re.DOTALL)
_CONTROL_PICTURES = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "\u2421"}


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a source. Lines and columns count from 1, columns in bytes."""

    file: str
    line: int
    column: int

    @classmethod
    def parse(cls, text: str) -> "Place | None":
        """The place that ``file:line:column`` names; None for what is not of that form."""
        match = _PLACE.fullmatch(text)
        return cls(match["file"], int(match["line"]), int(match["column"])) if match else None


def harmless(text: str, keep: str = "") -> str:
    """``text`` with a visible sign for each character that is not printable, unless it is among ``keep``."""
    return "".join(character if character in keep else _visible(character) for character in text)


def excerpt(source: bytes, place: Place) -> list[str]:
    """Two lines: the source's at ``place``, cut around it where it is long, and the caret; none if it is not there."""
    lines = source.split(b"\n", place.line)
    if not 1 <= place.line <= len(lines):
        return []
    line = lines[place.line - 1].removesuffix(b"\r")
    before = _first(reversed(_characters(line[: place.column - 1])), MAX_COLUMNS_BEFORE)[::-1]
    width = sum(map(_columns, before))
    after = _first(_characters(line[place.column - 1 :]), MAX_COLUMNS - width)
    return [f"{INDENT}{before}{after}", f"{INDENT}{' ' * width}^"]


def _characters(text: bytes) -> str:
    return harmless(text.decode("utf-8", "replace").replace("\t", TAB))


def _first(characters: Iterable[str], max_columns: int) -> str:
    """The first of ``characters`` that fit, with a sign after them where others are left out."""
    taken = ""
    columns = 0
    for character in characters:
        columns += _columns(character)
        if columns > max_columns:
            return taken + "…"
        taken += character
    return taken


def _columns(character: str) -> int:
    """How many columns of a terminal a character takes."""
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0  # it goes on top of the one before
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    return _CONTROL_PICTURES.get(ord(character), "\ufffd")

"""The line of source that an error is about, with a caret under the place: text that is safe to show on a terminal."""

import re
from dataclasses import dataclass

from shared.terminal import columns, first_columns, harmless

MAX_COLUMNS = 100
MAX_COLUMNS_BEFORE = 60
INDENT = "    "
TAB = "    "

_PLACE = re.compile(r"(?P<file>.*):(?P<line>\d+):(?P<column>\d+)", re.DOTALL)


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


def excerpt(source: bytes, place: Place) -> list[str]:
    """Two lines: the source's at ``place``, cut around it where it is long, and the caret; none if it is not there."""
    lines = source.split(b"\n", place.line)
    if not 1 <= place.line <= len(lines):
        return []
    line = lines[place.line - 1].removesuffix(b"\r")
    before = first_columns(reversed(_characters(line[: place.column - 1])), MAX_COLUMNS_BEFORE)[::-1]
    width = columns(before)
    after = first_columns(_characters(line[place.column - 1 :]), MAX_COLUMNS - width)
    return [f"{INDENT}{before}{after}", f"{INDENT}{' ' * width}^"]


def _characters(text: bytes) -> str:
    return harmless(text.decode("utf-8", "replace").replace("\t", TAB))

"""Tables for people: aligned, as wide as the terminal, nothing in them that would steer it. Pure functions."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from juvuln.commands.terminal import Colour, Terminal
from shared.terminal import columns, first_columns, harmless

GAP = "  "
NARROWEST = 8
"""How far a column is narrowed, at most, to make a table fit."""


@dataclass(frozen=True, slots=True)
class Cell:
    text: str
    colour: Colour | None = None


Row = Sequence[str | Cell]


class Table:
    """Rows that come one after another, under headings. The columns in ``whole`` are never cut."""

    def __init__(self, headings: Sequence[str], terminal: Terminal, whole: Collection[str] = ()) -> None:
        self._headings = headings
        self._terminal = terminal
        self._whole = {index for index, name in enumerate(headings) if name in whole}
        self._widths = [columns(name) for name in headings]

    def heading(self) -> str:
        return self.lines([self._headings])[0]

    def make_room(self, rows: Sequence[Row]) -> None:
        """Widen the columns for these rows."""
        for row in rows:
            self._widths = [
                max(width, columns(_cell(value).text)) for width, value in zip(self._widths, row, strict=True)
            ]

    def lines(self, rows: Sequence[Row]) -> list[str]:
        """A line for each row."""
        width = self._terminal.width
        widths = self._widths if width is None else fit(self._widths, width, self._whole)
        return [_line([_cell(value) for value in row], widths, self._terminal) for row in rows]


def format_table(
    headings: Sequence[str], rows: Sequence[Row], terminal: Terminal, whole: Collection[str] = ()
) -> list[str]:
    """The lines of a table; the headings are its first. The columns in ``whole`` are never cut."""
    table = Table(headings, terminal, whole)
    table.make_room(rows)
    return [table.heading(), *table.lines(rows)]


def fit(widths: Sequence[int], available: int, whole: Collection[int] = ()) -> list[int]:
    """``widths`` with the widest columns, but those in ``whole``, narrowed so that all fit, as far as that goes."""
    fitting = list(widths)
    excess = sum(fitting) + len(GAP) * (len(fitting) - 1) - available
    elastic = [index for index in range(len(fitting)) if index not in whole]
    while excess > 0 and elastic:
        widest = max(elastic, key=fitting.__getitem__)
        if fitting[widest] <= NARROWEST:
            break
        fitting[widest] -= 1
        excess -= 1
    return fitting


def _cell(value: str | Cell) -> Cell:
    cell = value if isinstance(value, Cell) else Cell(value)
    return Cell(harmless(cell.text), cell.colour)


def _line(row: Sequence[Cell], widths: Sequence[int], terminal: Terminal) -> str:
    *others, last = [_shown(cell, width, terminal) for cell, width in zip(row, widths, strict=True)]
    return GAP.join([*(text + padding for text, padding in others), last[0]]).rstrip()


def _shown(cell: Cell, width: int, terminal: Terminal) -> tuple[str, str]:
    """The text, and what fills the column behind it."""
    text = cell.text if columns(cell.text) <= width else first_columns(cell.text, width - 1)
    return terminal.paint(text, cell.colour), " " * (width - columns(text))

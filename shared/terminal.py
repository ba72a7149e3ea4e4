"""Text that is safe to show on a terminal, and how much room it takes there. Pure functions."""

import unicodedata
from collections.abc import Iterable

_CONTROL_PICTURES = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "\u2421"}


def harmless(text: str, keep: str = "") -> str:
    """``text`` with a visible sign for each character that is not printable, unless it is among ``keep``."""
    return "".join(character if character in keep else _visible(character) for character in text)


def columns(text: str) -> int:
    """How many columns of a terminal ``text`` takes."""
    return sum(map(_columns, text))


def first_columns(characters: Iterable[str], max_columns: int) -> str:
    """The first of ``characters`` that fit, with a sign after them where others are left out."""
    taken = ""
    width = 0
    for character in characters:
        width += _columns(character)
        if width > max_columns:
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

"""The line of source with a caret."""

import pytest

from shared.excerpt import MAX_COLUMNS, Place, excerpt
from shared.terminal import harmless


def shown(source: str | bytes, line: int, column: int) -> list[str]:
    code = source if isinstance(source, bytes) else source.encode()
    return [line.removeprefix("    ") for line in excerpt(code, Place("file", line, column))]


def test_a_place_is_taken_apart_from_its_end() -> None:
    assert Place.parse("a:b.tengo:3:14") == Place("a:b.tengo", 3, 14)
    assert Place.parse("simplemath@1:2:5") == Place("simplemath@1", 2, 5)
    assert Place.parse("-") is None
    assert Place.parse("greet.tengo") is None


@pytest.mark.parametrize(
    ("source", "column", "line", "caret"),
    [
        ("x := y", 6, "x := y", "     ^"),
        ("\t\tx := y", 8, "        x := y", "             ^"),
        ('s := "äö" + y', 15, 's := "äö" + y', "            ^"),
        ('s := "日本" + y', 17, 's := "日本" + y', "              ^"),
        ('s := "e\u0301" + y', 14, 's := "e\u0301" + y', "           ^"),
        ("x := y\r", 6, "x := y", "     ^"),
        ("x", 2, "x", " ^"),
        ("", 1, "", "^"),
    ],
    ids=["plain", "tabs", "two bytes", "wide", "combining", "carriage return", "after the end", "empty"],
)
def test_the_caret_stands_under_the_place(source: str, column: int, line: str, caret: str) -> None:
    assert shown(f"first\n{source}\nlast", 2, column) == [line, caret]


def test_a_line_that_is_not_there_is_not_shown() -> None:
    assert shown("one\ntwo", 3, 1) == []
    assert shown("one\ntwo", 0, 0) == []


def test_bytes_that_are_not_utf8_are_shown_as_such() -> None:
    assert shown(b"x := \xff + y", 1, 10) == ["x := \ufffd + y", "         ^"]


@pytest.mark.parametrize("column", [1, 50, 5000, 9999])
def test_a_long_line_is_cut_around_the_place(column: int) -> None:
    source = "".join(chr(0x61 + number % 26) for number in range(9999))
    line, caret = shown(source, 1, column)
    assert len(line) <= MAX_COLUMNS + 2
    assert line[len(caret) - 1] == source[column - 1]
    assert line.startswith("…") == (column > 100)
    assert line.endswith("…") == (column < 9900)


def test_nothing_reaches_the_terminal_as_a_command() -> None:
    line, caret = shown("x := `\x1b[31m\x9b1m\u202e\x07\x7f` + y", 1, 24)
    assert line == "x := `␛[31m\ufffd1m\ufffd␇␡` + y"
    assert caret.endswith("^")
    assert harmless("a\r\n\tb\udcff", keep="\n\t") == "a␍\n\tb\ufffd"

"""Tables: aligned whatever is in them, and no wider than the terminal as far as that goes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from juvuln.commands.table import GAP, NARROWEST, Cell, fit, format_table
from juvuln.commands.terminal import Colour, Terminal
from shared.terminal import columns

PIPE = Terminal()


def test_columns_are_as_wide_as_what_is_in_them() -> None:
    lines = format_table(("A", "NAME", "C"), [("1", "日本", "x"), ("22", "é", "")], PIPE)
    assert lines == ["A   NAME  C", "1   日本  x", "22  é"]


def test_what_would_steer_the_terminal_is_shown_as_a_sign() -> None:
    (_, line) = format_table(("A",), [("\x1b[31m\r\n",)], PIPE)
    assert line == "␛[31m␍␊"


def test_colours_are_for_terminals_that_show_them_and_take_no_room() -> None:
    rows = [(Cell("failed", Colour.RED), "x")]
    assert format_table(("OUTCOME", "B"), rows, Terminal(80, colours=False))[1] == "failed   x"
    assert format_table(("OUTCOME", "B"), rows, Terminal(80, colours=True))[1] == "\x1b[31mfailed\x1b[0m   x"


def test_a_table_is_cut_to_the_terminal_but_not_where_it_must_be_whole() -> None:
    heading, line = format_table(("NAME", "UUID"), [("n" * 50, "u" * 36)], Terminal(60), whole=("UUID",))
    assert line == "n" * 21 + "…" + GAP + "u" * 36
    assert heading == "NAME" + " " * 20 + "UUID"


@settings(deadline=None)
@given(st.lists(st.integers(0, 200), min_size=1, max_size=8), st.integers(1, 200))
def test_a_table_fits_or_is_as_narrow_as_it_gets(widths: list[int], available: int) -> None:
    fitting = fit(widths, available)
    total = sum(fitting) + len(GAP) * (len(fitting) - 1)
    assert total <= available or all(width <= max(NARROWEST, 0) for width in fitting)
    assert all(min(width, NARROWEST) <= narrowed <= width for width, narrowed in zip(widths, fitting, strict=True))


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(), st.text(), st.just("|")), max_size=5), st.one_of(st.none(), st.integers(1, 120)))
def test_the_columns_of_all_lines_begin_at_the_same_place(rows: list[tuple[str, str, str]], width: int | None) -> None:
    lines = format_table(("ONE", "TWO", "|"), rows, Terminal(width))
    assert len({columns(line.rpartition("|")[0]) for line in lines}) == 1
    assert all(line.isprintable() for line in lines)

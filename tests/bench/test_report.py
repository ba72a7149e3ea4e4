from xml.etree import ElementTree

import pytest

from bench import bars
from bench.report import DOCUMENT, missing, put, table
from bench.rows import TARGETS, row


def test_a_table_says_of_each_row_whether_it_is_met() -> None:
    lines = table([row("start", [0.5]), row("storm", [0.7]), row("idle-cpu", [9.0])]).splitlines()
    assert [line.split(" | ")[-1] for line in lines[2:]] == ["aim reached |", "met |", "**not met** |"]


def test_a_table_of_what_is_not_judged_has_no_limits() -> None:
    assert table([row("webhook", [800.0])]).splitlines()[0] == "| what | median | spread |"


def test_the_document_has_a_place_for_everything_that_a_run_puts_there() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for name in ("machine", "results", "beside", "growth", "soak"):
        assert f"<!-- {name} -->\nnew\n<!-- end of {name} -->" in put(text, name, "new")
    with pytest.raises(LookupError, match="no place marked weather"):
        put(text, "weather", "new")


def test_what_was_asked_for_and_not_measured_is_said() -> None:
    lines = missing([row(name, [1.0]) for name, target in TARGETS.items() if target.must and name != "storm"])
    assert [line.split(" | ")[-1] for line in lines] == ["not measured |"]
    assert "10,000 routines" in lines[0]


def test_the_plot_has_a_bar_for_each_judged_row_to_the_side_of_the_line_that_tells_whether_it_is_met() -> None:
    rows = [row("start", [0.5]), row("idle-cpu", [9.0]), row("cached-task-ratio", [1.2]), row("webhook", [800.0])]
    plot = ElementTree.fromstring(bars.svg(rows))
    drawn = [each for each in plot if each.tag.endswith("rect")][1:]  # the first is the paper
    line = bars.LEFT + (bars.WIDTH - bars.RIGHT - bars.LEFT) / 2
    to_the_right = [float(each.attrib["x"]) >= line for each in drawn]
    assert to_the_right == [True, False, True]


def test_a_plot_of_figures_at_zero_can_be_drawn() -> None:
    assert ElementTree.fromstring(bars.svg([row("idle-cpu", [0.0]), row("webhook-ratio", [0.0])])) is not None

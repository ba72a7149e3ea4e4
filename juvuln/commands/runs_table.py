"""Runs as people read them. Pure functions."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from juvuln.commands.table import Cell, format_table
from juvuln.commands.terminal import Colour, Terminal
from shared.terminal import harmless

HEADINGS = ("WHEN", "PROGRAM", "REV", "TRIGGER", "OUTCOME", "TOOK", "WORKER")

COLOURS = {
    "succeeded": Colour.GREEN,
    "failed": Colour.RED,
    "timed_out": Colour.RED,
    "crashed": Colour.RED,
    "lost": Colour.RED,
    "running": Colour.CYAN,
}
"""Of outcomes; the others are yellow."""

Run = Mapping[str, Any]


def format_runs(runs: Sequence[Run], terminal: Terminal, *, with_log: bool) -> str:
    """A line for each run, and below it what went wrong and, if asked for, its log lines."""
    if not runs:
        return "nothing has run yet\n"
    heading, *table = format_table(HEADINGS, [_row(run) for run in runs], terminal)
    lines = [heading]
    for run, line in zip(runs, table, strict=True):
        lines += [line, *notes(run, with_log=with_log)]
    return "\n".join(lines) + "\n"


def notes(run: Run, *, with_log: bool) -> list[str]:
    """Why it did not succeed, where in the program that was and, if asked for, what it logged."""
    found = [f"    {run['reason']}"] if run["reason"] else []
    if error := run["error"]:
        found.append(f"    {error['kind']}: {error['message']}")
        found += [f"        at {place}" for place in error["stack"]]
    if with_log:
        found += [f"    {line['level']}: {line['message']}" for line in run["log"]]
    return [harmless(note) for note in found]


def outcome_cell(run: Run) -> Cell:
    outcome = run["outcome"] or "running"
    return Cell(outcome, COLOURS.get(outcome, Colour.YELLOW))


def local_time(text: str) -> str:
    """A time of the API as the clock on the wall here shows it."""
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def duration(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "-"
    return f"{milliseconds:.1f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.2f} s"


def _row(run: Run) -> tuple[str | Cell, ...]:
    return (
        local_time(run["due"] or run["claimed"]),
        run["program_name"],
        str(run["revision"]),
        run["trigger"],
        outcome_cell(run),
        duration(run["duration_ms"]),
        run["worker"] or "-",
    )

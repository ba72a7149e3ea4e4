"""Runs as people read them. Pure functions."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from juvuln.commands.output import counted
from juvuln.commands.table import Cell, Table
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

NOTHING_HAS_RUN = "nothing has run yet"

Run = Mapping[str, Any]


class RunsTable:
    """Runs that come one after another: a line for each, below it what went wrong and, if asked for, its log lines."""

    def __init__(self, terminal: Terminal, *, with_log: bool) -> None:
        self._table = Table(HEADINGS, terminal)
        self._with_log = with_log
        self._headed = False

    def lines(self, runs: Sequence[Run]) -> list[str]:
        """The lines of these runs, after the headings if they are the first."""
        if not runs:
            return []
        rows = [_row(run) for run in runs]
        self._table.make_room(rows)
        lines = [] if self._headed else [self._table.heading()]
        self._headed = True
        for run, line in zip(runs, self._table.lines(rows), strict=True):
            lines += [line, *notes(run, with_log=self._with_log)]
        return lines


def format_runs(runs: Sequence[Run], terminal: Terminal, *, with_log: bool, nothing: str = NOTHING_HAS_RUN) -> str:
    """``nothing`` is what to say where there are none."""
    lines = RunsTable(terminal, with_log=with_log).lines(runs)
    return "\n".join(lines or [nothing]) + "\n"


def format_ended(run: Run, terminal: Terminal) -> str:
    """What one run logged, then how it ended, as a webhook what it answered and, if it failed, why."""
    log = [harmless(f"{line['level']}: {line['message']}", keep="\n\t") for line in run["log"]]
    cell = outcome_cell(run)
    took = f" in {duration(run['duration_ms'])}" if run["duration_ms"] is not None else ""
    if run["answer_status"] is not None:
        took += f", answered {run['answer_status']} with {counted(run['answer_bytes'], 'byte')}"
    name, outcome = harmless(run["program_name"]), terminal.paint(cell.text, cell.colour)
    head = f"{name} {outcome}{took} (revision {run['revision']}, run {run['id']})"
    return "\n".join([*log, head, *notes(run, with_log=False)]) + "\n"


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

"""Runs as a table for people. Pure functions."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

HEADINGS = ("WHEN", "PROGRAM", "REV", "TRIGGER", "OUTCOME", "TOOK", "WORKER")


def format_runs(runs: Sequence[dict[str, Any]], *, with_log: bool) -> str:
    """A line for each run, and below it what went wrong and, if asked for, its log lines."""
    if not runs:
        return "nothing has run yet\n"
    rows = [HEADINGS, *[_row(run) for run in runs]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = [_line(HEADINGS, widths)]
    for run, row in zip(runs, rows[1:], strict=True):
        lines += [_line(row, widths), *_notes(run, with_log)]
    return "\n".join(lines) + "\n"


def _row(run: dict[str, Any]) -> tuple[str, ...]:
    return (
        _time(run["due"] or run["claimed"]),
        _printable(run["program_name"]),
        str(run["revision"]),
        run["trigger"],
        run["outcome"] or "running",
        _duration(run["duration_ms"]),
        run["worker"] or "-",
    )


def _line(cells: Iterable[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _notes(run: dict[str, Any], with_log: bool) -> list[str]:
    notes = [f"    {run['reason']}"] if run["reason"] else []
    if error := run["error"]:
        notes.append(f"    {error['kind']}: {error['message']}")
        notes += [f"        at {place}" for place in error["stack"]]
    if with_log:
        notes += [f"    {line['level']}: {line['message']}" for line in run["log"]]
    return [_printable(note) for note in notes]


def _printable(text: str) -> str:
    """Without what would steer the terminal; programs write these texts."""
    return "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in text)


def _time(text: str) -> str:
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _duration(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "-"
    return f"{milliseconds:.1f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.2f} s"

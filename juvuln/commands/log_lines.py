"""Log lines as people read them. Pure functions."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from juvuln.commands.runs_table import outcome_cell
from juvuln.commands.terminal import Colour, Terminal
from shared.terminal import harmless

INDENT = "\n    "


def line_text(line: Mapping[str, Any], terminal: Terminal) -> str:
    """When, how serious, what; further lines of a message are set in, so that none looks like another's."""
    message = harmless(line["message"], keep="\n\t").replace("\n", INDENT)
    level = terminal.paint(f"{line['level']:<5}", Colour.RED if line["level"] == "error" else None)
    return f"{_time(line['at_ms'])} {level} {message}"


def ending_text(run: Mapping[str, Any], terminal: Terminal) -> str | None:
    """How a run ended that did not succeed, and why; None for one that did."""
    if run["outcome"] == "succeeded":
        return None
    cell = outcome_cell(run)
    told = [run["reason"]] if run["reason"] else []
    if error := run["error"]:
        told += [f"{error['kind']}: {error['message']}", *(f"    at {place}" for place in error["stack"])]
    reasons = harmless("\n".join(told), keep="\n\t").replace("\n", INDENT)
    ended_ms = round(datetime.fromisoformat(run["ended"]).timestamp() * 1000)
    return f"{_time(ended_ms)} {terminal.paint(cell.text, cell.colour)} {reasons} (run {run['id']})"


def _time(at_ms: int) -> str:
    """As the clock on the wall here shows it."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone()
    return f"{at:%Y-%m-%d %H:%M:%S}.{at_ms % 1000:03d}"

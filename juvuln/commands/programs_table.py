"""Programs as people read them. Pure functions."""

from collections.abc import Mapping, Sequence
from typing import Any

from juvuln.commands.table import Cell, format_table
from juvuln.commands.terminal import Colour, Terminal

HEADINGS = ("NAME", "TYPE", "STATE", "SCHEDULE", "DEADLINE", "TAGS", "UUID")
COLOURS = {"active": Colour.GREEN, "inactive": Colour.FAINT, "failed": Colour.RED}

Program = Mapping[str, Any]


def format_programs(programs: Sequence[Program], terminal: Terminal) -> str:
    if not programs:
        return "there is no program that you may read\n"
    rows = [_row(program) for program in programs]
    return "\n".join(format_table(HEADINGS, rows, terminal, whole=("UUID",))) + "\n"


def state_cell(program: Program) -> Cell:
    return Cell(program["state"], COLOURS.get(program["state"]))


def _row(program: Program) -> tuple[str | Cell, ...]:
    return (
        program["name"],
        program["type"],
        state_cell(program),
        program["schedule"] or "-",
        f"{program['deadline']} ms",
        " ".join(program["tags"]) or "-",
        program["uuid"],
    )

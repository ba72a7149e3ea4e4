"""Programs as people read them. Pure functions."""

from collections.abc import Mapping, Sequence
from typing import Any

from juvuln.commands.next_due import NextDue
from juvuln.commands.policy_words import policy_words
from juvuln.commands.runs_table import Run, format_runs, local_time
from juvuln.commands.table import Cell, format_table
from juvuln.commands.terminal import Colour, Terminal
from shared.terminal import harmless

HEADINGS = ("NAME", "TYPE", "STATE", "SCHEDULE", "DEADLINE", "TAGS", "UUID")
COLOURS = {"active": Colour.GREEN, "inactive": Colour.FAINT, "failed": Colour.RED}

SHOWN_OF_CHECKSUM = 12
MOST_REVISIONS = 10

Program = Mapping[str, Any]


def format_programs(programs: Sequence[Program], terminal: Terminal) -> str:
    if not programs:
        return "there is no program that you may read\n"
    rows = [_row(program) for program in programs]
    return "\n".join(format_table(HEADINGS, rows, terminal, whole=("UUID",))) + "\n"


def format_program(
    program: Program,
    due: NextDue,
    schedule: Mapping[str, Any] | None,
    revisions: Sequence[Mapping[str, Any]],
    runs: Sequence[Run],
    terminal: Terminal,
    *,
    url: str | None,
) -> str:
    """A program's specification and policies, its revisions and last runs as tables; ``url``: where it is called."""
    state = state_cell(program)
    times = [f"{instant:%Y-%m-%d %H:%M:%S %Z}" for instant in due.times]
    facts = {
        "name": harmless(program["name"]),
        "uuid": program["uuid"],
        "type": harmless(program["type"]),
        "state": terminal.paint(harmless(state.text), state.colour),
        "url": url,
        "schedule": harmless(program["schedule"]),
        "": due.words,
        "next": ", ".join(times),
        **(_policy_facts(schedule) if schedule else {}),
        "deadline": f"{program['deadline']} ms",
        "language": harmless(program["language"]),
        "tags": harmless(" ".join(program["tags"])),
    }
    lines = [f"{name:<10}{value}" for name, value in facts.items() if value]
    lines += ["", *_revision_lines(revisions, terminal), ""]
    return "\n".join(lines) + "\n" + format_runs(runs, terminal, with_log=False)


def _policy_facts(schedule: Mapping[str, Any]) -> dict[str, str]:
    return {
        "paused": harmless(schedule["paused"] or ""),
        "policy": policy_words(schedule["policy"]),
        "fault": harmless("; ".join(schedule["tag_faults"])),
    }


def _revision_lines(revisions: Sequence[Mapping[str, Any]], terminal: Terminal) -> list[str]:
    if not revisions:
        return ["it has no code yet"]
    rows = [
        (
            str(revision["revision"]),
            local_time(revision["created"]),
            local_time(revision["signed"]) if revision["signed"] else "-",
            (revision["checksum"] or "-")[:SHOWN_OF_CHECKSUM],
        )
        for revision in reversed(revisions)
    ]
    shown = format_table(("REVISION", "CREATED", "SIGNED", "CHECKSUM"), rows[:MOST_REVISIONS], terminal)
    left_out = len(rows) - MOST_REVISIONS
    return shown if left_out <= 0 else [*shown, f"and {left_out} older ones"]


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

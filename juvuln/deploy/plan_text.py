"""A plan as people and programs read it. Pure functions."""

from collections import Counter
from collections.abc import Iterator, Mapping
from difflib import unified_diff

from juvuln.commands.output import counted
from juvuln.commands.table import Cell, format_table
from juvuln.commands.terminal import Colour, Terminal
from juvuln.deploy.plan import Action, Plan, Step
from juvuln.deploy.specification import as_json
from shared.terminal import harmless

HEADINGS = ("ACTION", "PROGRAM", "WHAT")
COLOURS = {
    Action.CREATE: Colour.GREEN,
    Action.DEACTIVATE: Colour.RED,
    Action.UNCHANGED: Colour.FAINT,
}


def format_plan(plan: Plan, terminal: Terminal) -> str:
    """A line for each thing that is to happen to a program, and a sum."""
    if not plan.steps:
        return "there is no program in the folder\n"
    rows = [row for step in plan.steps for row in _rows(step)]
    return "\n".join([*format_table(HEADINGS, rows, terminal), "", plan_sum(plan)]) + "\n"


def plan_sum(plan: Plan) -> str:
    """``2 create, 1 change, 5 unchanged``."""
    counts = Counter(action for step in plan.steps for action in step.actions)
    return ", ".join(f"{counts[action]} {action}" for action in Action if counts[action]) or "nothing"


def unsigned_note(plan: Plan) -> str | None:
    """That there is code which does not run until it is signed, if there is."""
    unsigned = sum(step.left_unsigned for step in plan.steps)
    if not unsigned:
        return None
    return f"the newest code of {counted(unsigned, 'program')} is not signed, and does not run; --sign signs it"


def plan_json(plan: Plan, done: Mapping[str, str], *, carried_out: bool) -> dict[str, object]:
    """``done`` has the uuids of the programs with which the plan is through, by the key of the step."""
    return {
        "done": carried_out,
        "programs": [_step_json(step, done) for step in plan.steps],
    }


def format_diff(step: Step, old: bytes) -> Iterator[str]:
    """What new code changes, as the lines of a unified diff; ``old`` is the newest code that the domain has."""
    if step.local is None or step.local.code is None:
        return
    before = f"{step.name}@{step.remote.newest.number}" if step.remote and step.remote.newest else "/dev/null"
    after = harmless(step.local.title)
    for line in unified_diff(_lines(old), _lines(step.local.code), harmless(before), after, lineterm=""):
        yield harmless(line, keep="\t\n")


def _rows(step: Step) -> Iterator[tuple[str | Cell, ...]]:
    for action in step.actions:
        for place, what in enumerate(_what(step, action)):
            shown = Cell(action, COLOURS.get(action, Colour.YELLOW)) if place == 0 else ""
            yield shown, step.name if place == 0 else "", what


def _what(step: Step, action: Action) -> list[str]:
    signed = ", signed" if step.signs else ", unsigned"
    match action:
        case Action.CREATE if step.local:
            code = f"revision 0{signed}" if step.uploads else "without code"
            return [f"{step.local.specification.type}, {code}, from {step.local.title}"]
        case Action.CHANGE:
            return [str(change) for change in step.changes if change.field != "state" or not _shows_state(step)]
        case Action.NEW_REVISION:
            return [f"revision {step.revision}{signed}"]
        case Action.SIGN:
            return [f"revision {step.revision}"]
        case Action.UNCHANGED if step.left_unsigned:
            return [f"revision {step.revision}, unsigned"]
        case Action.DEACTIVATE if step.local is None:
            return ["no longer in the folder"]
        case Action.REACTIVATE | Action.DEACTIVATE:
            return [str(change) for change in step.changes if change.field == "state"]
    return [""]


def _shows_state(step: Step) -> bool:
    return bool({Action.REACTIVATE, Action.DEACTIVATE} & set(step.actions))


def _step_json(step: Step, done: Mapping[str, str]) -> dict[str, object]:
    return {
        "name": step.name,
        "uuid": step.remote.uuid if step.remote else done.get(step.key),
        "file": str(step.local.file) if step.local and step.local.file else None,
        "actions": [str(action) for action in step.actions],
        "changes": {change.field: {"old": as_json(change.old), "new": as_json(change.new)} for change in step.changes},
        "revision": step.revision,
        "signed": step.signed,
        "done": step.unchanged or step.key in done,
    }


def _lines(code: bytes) -> list[str]:
    *lines, last = code.decode("utf-8", "replace").split("\n")
    return [*lines, f"{last}\n\\ No newline at end of file"] if last else lines

"""What a program's fields may be and must say together: the same for the API and for a push. Pure functions."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, tzinfo
from typing import Protocol

from juvuln.policy import Policy, policy_of
from juvuln.schedule import ScheduleError, first_due, parse_schedule
from shared.module_names import module_name_fault
from shared.wire import ProgramState, ProgramType

MAX_TEXT = 255
"""Characters of a name, a schedule or a tag."""
MAX_TAGS = 100
NO_SCHEDULE = ("", "0s")
"""What stands for none; the second is what a Self-host database has where nobody chose one."""


class Ruled(Protocol):
    """The fields of a program that depend on one another."""

    @property
    def type(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def schedule(self) -> str: ...
    @property
    def tags(self) -> Sequence[str]: ...


def rule_faults(
    name: str, program: Ruled, set_now: Collection[str], zone: tzinfo, now: datetime
) -> Iterator[tuple[str, str]]:
    """Why a program could not do what it is for, each with the field at fault, if these fields are ``set_now``.

    A fault that somebody else left in the other fields must not keep these from being changed. ``zone`` is that of
    schedules which name none.
    """
    if _name_must_be_importable(program.type, set_now) and (fault := module_name_fault(name)):
        yield "name", fault
    if "tags" in set_now:
        for fault in policy_of(program.tags, Policy())[1]:
            yield "tags", fault
    if _schedule_must_fire(program.type, program.state, program.schedule, set_now):
        try:
            first_due(parse_schedule(program.schedule, zone), now)
        except ScheduleError as error:
            yield "schedule", str(error)


def _name_must_be_importable(kind: str, set_now: Collection[str]) -> bool:
    """Whether the name counts as that of a module: it gets one, or becomes one."""
    return kind == ProgramType.MODULE.value and not {"name", "type"}.isdisjoint(set_now)


def _schedule_must_fire(kind: str, state: str, schedule: str, set_now: Collection[str]) -> bool:
    """Whether the schedule counts.

    A routine needs one when it gets one, becomes one or starts; elsewhere one that is given must be good.
    """
    if kind == ProgramType.ROUTINE.value:
        starts = "state" in set_now and state == ProgramState.ACTIVE.value
        return starts or not {"schedule", "type"}.isdisjoint(set_now)
    return "schedule" in set_now and schedule not in NO_SCHEDULE

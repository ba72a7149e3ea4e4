"""Which fields of a program depend on one another; the same for the API and for a push. Pure functions."""

from collections.abc import Collection

from shared.wire import ProgramState, ProgramType

NO_SCHEDULE = ("", "0s")
"""What stands for none; the second is what a Self-host database has where nobody chose one."""


def name_must_be_importable(kind: str, set_now: Collection[str]) -> bool:
    """Whether the name counts as that of a module, if these fields are set: it gets one, or becomes one."""
    return kind == ProgramType.MODULE.value and not {"name", "type"}.isdisjoint(set_now)


def schedule_must_fire(kind: str, state: str, schedule: str, set_now: Collection[str]) -> bool:
    """Whether the schedule counts, if these fields are set.

    A routine needs one when it gets one, becomes one or starts; elsewhere one that is given must be good.
    """
    if kind == ProgramType.ROUTINE.value:
        starts = "state" in set_now and state == ProgramState.ACTIVE.value
        return starts or not {"schedule", "type"}.isdisjoint(set_now)
    return "schedule" in set_now and schedule not in NO_SCHEDULE

"""What a program's fields must say together, beyond what each may say alone."""

from collections.abc import Collection
from datetime import datetime, tzinfo

from juvuln.domains.store import Specification
from juvuln.policy import Policy, policy_of
from juvuln.schedule import ScheduleError, first_due, parse_schedule
from shared.http import Refusal
from shared.module_names import module_name_fault
from shared.wire import ProgramState, ProgramType

NO_SCHEDULE = ("", "0s")
"""What stands for none; the second is what a Self-host database has where nobody chose one."""


def check_specification(program: Specification, set_now: Collection[str], zone: tzinfo, now: datetime) -> None:
    """Refuse a program that could not do what it is for, as far as the fields that are ``set_now`` have to do with it.

    A fault that somebody else left in the other fields must not keep these from being changed. Raises Refusal: 400 for
    a field that is set now, 409 for one that was there before.
    """
    if program.type == ProgramType.MODULE.value and not {"name", "type"}.isdisjoint(set_now):
        fault = module_name_fault(program.name)
        if fault:
            raise _refusal("name", fault, set_now)
    if "tags" in set_now:
        for fault in policy_of(program.tags, Policy())[1]:
            raise Refusal(400, f"tags: {fault}")
    if _needs_schedule(program, set_now) or ("schedule" in set_now and program.schedule not in NO_SCHEDULE):
        try:
            first_due(parse_schedule(program.schedule, zone), now)
        except ScheduleError as error:
            raise _refusal("schedule", str(error), set_now) from error


def _needs_schedule(program: Specification, set_now: Collection[str]) -> bool:
    if program.type != ProgramType.ROUTINE.value:
        return False
    starts = "state" in set_now and program.state == ProgramState.ACTIVE.value
    return starts or not {"schedule", "type"}.isdisjoint(set_now)


def _refusal(field: str, fault: str, set_now: Collection[str]) -> Refusal:
    return Refusal(400 if field in set_now else 409, f"{field}: {fault}")

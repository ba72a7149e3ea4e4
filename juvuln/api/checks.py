"""What a program's fields must say together, beyond what each may say alone."""

from collections.abc import Collection
from datetime import datetime, tzinfo

from juvuln.domains.store import Specification
from juvuln.policy import Policy, policy_of
from juvuln.program_rules import name_must_be_importable, schedule_must_fire
from juvuln.schedule import ScheduleError, first_due, parse_schedule
from shared.http import Refusal
from shared.module_names import module_name_fault


def check_specification(program: Specification, set_now: Collection[str], zone: tzinfo, now: datetime) -> None:
    """Refuse a program that could not do what it is for, as far as the fields that are ``set_now`` have to do with it.

    A fault that somebody else left in the other fields must not keep these from being changed. Raises Refusal: 400 for
    a field that is set now, 409 for one that was there before.
    """
    if name_must_be_importable(program.type, set_now):
        fault = module_name_fault(program.name)
        if fault:
            raise _refusal("name", fault, set_now)
    if "tags" in set_now:
        for fault in policy_of(program.tags, Policy())[1]:
            raise Refusal(400, f"tags: {fault}")
    if schedule_must_fire(program.type, program.state, program.schedule, set_now):
        try:
            first_due(parse_schedule(program.schedule, zone), now)
        except ScheduleError as error:
            raise _refusal("schedule", str(error), set_now) from error


def _refusal(field: str, fault: str, set_now: Collection[str]) -> Refusal:
    return Refusal(400 if field in set_now else 409, f"{field}: {fault}")

"""What a program's fields must say together, beyond what each may say alone."""

from collections.abc import Collection
from datetime import datetime, tzinfo

from juvuln.domains.store import Specification
from juvuln.program_rules import rule_faults
from shared.http import Refusal


def check_specification(program: Specification, set_now: Collection[str], zone: tzinfo, now: datetime) -> None:
    """Refuse a program that could not do what it is for, as far as the fields that are ``set_now`` have to do with it.

    Raises Refusal: 400 for a field that is set now, 409 for one that was there before.
    """
    for field, fault in rule_faults(program.name, program, set_now, zone, now):
        raise Refusal(400 if field in set_now else 409, f"{field}: {fault}")

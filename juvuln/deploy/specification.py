"""What is said of a program beside its name and code, in a folder as in a domain. Values and pure functions."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Self

from juvuln.program_rules import MAX_TAGS, MAX_TEXT, rule_faults
from juvuln.storable import UNSTORABLE, is_storable
from shared.wire import MAX_DEADLINE_MS, ProgramState, ProgramType

TENGO = "tengo"
DEFAULT_DEADLINE_MS = 1000


@dataclass(frozen=True, slots=True)
class Specification:
    """The fields of a program that a push can change."""

    type: str
    state: str = ProgramState.ACTIVE.value
    schedule: str = ""
    deadline: int = DEFAULT_DEADLINE_MS
    """Milliseconds."""
    language: str = TENGO
    tags: tuple[str, ...] = ()

    @classmethod
    def of(cls, view: Mapping[str, Any]) -> Self:
        """From what the API says of a program."""
        return cls(
            type=view["type"],
            state=view["state"],
            schedule=view["schedule"] or "",
            deadline=view["deadline"],
            language=view["language"],
            tags=tuple(view["tags"] or ()),
        )

    def as_json(self) -> dict[str, object]:
        return {name: as_json(getattr(self, name)) for name in FIELDS}


FIELDS = tuple(field.name for field in fields(Specification))


@dataclass(frozen=True, slots=True)
class Change:
    """A field that is to get another value."""

    field: str
    old: object
    new: object

    def __str__(self) -> str:
        return f"{self.field}: {_shown(self.old)} → {_shown(self.new)}"


def changes(old: Specification, new: Specification) -> tuple[Change, ...]:
    """What it takes to get from ``old`` to ``new``, field by field."""
    pairs = ((name, getattr(old, name), getattr(new, name)) for name in FIELDS)
    return tuple(Change(name, before, after) for name, before, after in pairs if before != after)


def value_faults(
    name: str, specification: Specification, sent: Collection[str], now: datetime
) -> Sequence[tuple[str, str]]:
    """What the server would refuse, each with the field at fault. Only the fields that are ``sent`` to it count."""
    faults = {
        "name": _text_fault(name) if name else "is empty",
        "type": _choice_fault(specification.type, [one.value for one in ProgramType]),
        "state": _choice_fault(specification.state, [one.value for one in ProgramState]),
        "schedule": _text_fault(specification.schedule),
        "deadline": _deadline_fault(specification.deadline),
        "language": _choice_fault(specification.language, [TENGO]),
        "tags": _tags_fault(specification.tags),
    }
    alone = [(field, fault) for field, fault in faults.items() if fault and field in sent]
    at_fault = {field for field, _ in alone}
    together = rule_faults(name, specification, sent, UTC, now)
    return [*alone, *((field, fault) for field, fault in together if field not in at_fault)]


def as_json(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _text_fault(text: str) -> str | None:
    """Why the database could not hold a text."""
    if len(text) > MAX_TEXT:
        return f"has {len(text)} characters, and may have {MAX_TEXT}"
    return None if is_storable(text) else UNSTORABLE


def _choice_fault(value: str, choices: Sequence[str]) -> str | None:
    return None if value in choices else f"{value!r} is not {' or '.join(choices)}"


def _deadline_fault(deadline_ms: int) -> str | None:
    if 0 <= deadline_ms <= MAX_DEADLINE_MS:
        return None
    return f"{deadline_ms} is not within 0 to {MAX_DEADLINE_MS} (milliseconds)"


def _tags_fault(tags: Sequence[str]) -> str | None:
    if len(tags) > MAX_TAGS:
        return f"there are {len(tags)}, and there may be {MAX_TAGS}"
    return next((f"{tag!r} {fault}" for tag in tags if (fault := _text_fault(tag) if tag else "is empty")), None)


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(value)}]"
    return str(value) or '""'

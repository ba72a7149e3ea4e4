"""What a file says of a program, before anybody asks whether it is right. Values and pure functions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from juvuln.deploy.specification import Specification
from shared.errors import SelfhostError
from shared.wire import ProgramType
from tengo_bridge.compiling import is_module

KEYS = ("name", "type", "state", "schedule", "deadline", "language", "tags")

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,9}")


class SayingFault(SelfhostError):
    """What a file says cannot be used; ``place`` is ``file:line``."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(f"{place}: {message}")


@dataclass(frozen=True, slots=True)
class Said:
    """A value as it is written, and where: ``file:line``."""

    value: str | tuple[str, ...]
    place: str


def unknown_key(key: str, place: str, more: str = "") -> SayingFault:
    return SayingFault(place, f"there is no key {key!r}; the keys are {', '.join(KEYS)}{more}")


def specification_of(said: Mapping[str, Said], code: bytes | None, place: str) -> Specification:
    """With the defaults for what is not said; ``place`` is where it could be. Raises SayingFault."""
    default = Specification(type="")
    schedule = _text(said, "schedule", default.schedule)
    return Specification(
        state=_text(said, "state", default.state),
        schedule=schedule,
        deadline=_deadline(said.get("deadline"), default.deadline),
        language=_text(said, "language", default.language),
        tags=_tags(said.get("tags")),
        type=_type(said, schedule, code, place),
    )


def name_of(said: Mapping[str, Said], default: str) -> str:
    """Raises SayingFault."""
    return _text(said, "name", default)


def _type(said: Mapping[str, Said], schedule: str, code: bytes | None, place: str) -> str:
    if "type" in said:
        return _text(said, "type", "")
    if code is not None and is_module(code):
        return ProgramType.MODULE.value
    if schedule:
        return ProgramType.ROUTINE.value
    raise SayingFault(
        place,
        "its type is not said: module, routine (with a schedule) or webhook; say it in program.yaml, or in the file's "
        "first line: // type: webhook",
    )


def _text(said: Mapping[str, Said], key: str, default: str) -> str:
    if key not in said:
        return default
    value = said[key].value
    if not isinstance(value, str):
        raise SayingFault(said[key].place, f"{key} is a text, not a list")
    return value


def _deadline(said: Said | None, default: int) -> int:
    if said is None:
        return default
    if not isinstance(said.value, str) or not _WHOLE_NUMBER.fullmatch(said.value):
        raise SayingFault(said.place, "deadline is a whole number of milliseconds, such as 5000")
    return int(said.value)


def _tags(said: Said | None) -> tuple[str, ...]:
    if said is None:
        return ()
    if isinstance(said.value, str):
        raise SayingFault(said.place, "tags are a list, such as [heating, attic]")
    return said.value

"""Reading query parameters. Each raises Refusal(400) that names the parameter."""

import re
from collections.abc import Sequence
from uuid import UUID

from aiohttp import web

from juvuln.domains.listing import SORTED_CHARACTERS, Position
from juvuln.storable import UNSTORABLE, is_storable
from shared.http import Refusal

CURSOR = rf"[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}/[^\x00]{{0,{SORTED_CHARACTERS}}}"


def whole(text: str) -> int | None:
    """A whole number in plain digits, of a length that makes sense; else None."""
    return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else None


def whole_number(request: web.Request, name: str, *, default: int | None = None, low: int, high: int) -> int:
    """A whole number from ``low`` to ``high``; without a default it must be there."""
    text = request.query.get(name)
    if text is None and default is not None:
        return default
    number = whole(text or "")
    if number is None:
        raise Refusal(400, f"{name}: must be a whole number")
    if not low <= number <= high:
        raise Refusal(400, f"{name}: must be from {low} to {high}")
    return number


def texts(request: web.Request, name: str) -> Sequence[str]:
    """All the values of a parameter that may be repeated."""
    values = request.query.getall(name, [])
    if not all(map(is_storable, values)):
        raise Refusal(400, f"{name}: {UNSTORABLE}")
    return values


def one_text(request: web.Request, name: str) -> str | None:
    """The value of a parameter that is given once at most."""
    values = texts(request, name)
    if len(values) > 1:
        raise Refusal(400, f"{name}: may be given once only")
    return values[0] if values else None


def position(request: web.Request, name: str) -> Position | None:
    """The position that a parameter made by :func:`cursor` stands for; None without one."""
    text = request.query.get(name)
    if text is None:
        return None
    if not re.fullmatch(CURSOR, text) or not is_storable(text):
        raise Refusal(400, f"{name}: take it from the Link of the page before")
    uuid, _, last_name = text.partition("/")
    return Position(last_name, UUID(uuid))


def cursor(last: Position) -> str:
    """A position as a parameter."""
    return f"{last.uuid}/{last.sort_name}"


def flag(request: web.Request, name: str) -> bool:
    """``true`` or ``false``; false if it is not there."""
    text = request.query.get(name, "false")
    if text not in ("true", "false"):
        raise Refusal(400, f"{name}: must be true or false")
    return text == "true"

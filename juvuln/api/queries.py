"""Reading query parameters. Each raises Refusal(400) that names the parameter."""

import re

from aiohttp import web

from shared.http import Refusal

LARGEST_REVISION = 2**31 - 1


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

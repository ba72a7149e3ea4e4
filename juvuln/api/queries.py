"""Reading query parameters. Each raises Refusal(400) that names the parameter."""

from aiohttp import web

from shared.http import Refusal


def whole_number(request: web.Request, name: str, *, default: int | None = None, low: int, high: int) -> int:
    """A whole number from ``low`` to ``high``; without a default it must be there."""
    text = request.query.get(name)
    if text is None and default is not None:
        return default
    try:
        number = int(text or "")
    except ValueError:
        raise Refusal(400, f"{name}: must be a whole number") from None
    if not low <= number <= high:
        raise Refusal(400, f"{name}: must be from {low} to {high}")
    return number

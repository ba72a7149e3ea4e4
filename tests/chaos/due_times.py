"""When a routine is due, by trying every second: written without a look at the manager's way, for the checker.

Only the forms that the chaos uses: ``@every Ns``, and six fields of which the last four are ``*`` and the others ``*``,
``*/N`` or a list of numbers. A zone before them changes nothing, as long as it is not off by parts of an hour, or of a
minute where all minutes match.
"""

from collections.abc import Iterator

EVERY = "@every "


def period_ms(schedule: str) -> int | None:
    """The period of ``@every``; None for another schedule."""
    if not schedule.startswith(EVERY):
        return None
    return int(schedule.removeprefix(EVERY).removesuffix("s")) * 1000


def cron_due_times(schedule: str, after_ms: int, until_ms: int) -> Iterator[int]:
    """The due times (ms) of six fields, later than ``after_ms``, up to ``until_ms``."""
    fields = [field for field in schedule.split() if not field.startswith("TZ=")]
    if len(fields) != 6 or fields[2:] != ["*"] * 4:
        raise ValueError(f"not a form of the chaos: {schedule!r}")
    for second in range(after_ms // 1000 + 1, until_ms // 1000 + 1):
        if _matches(fields[0], second % 60) and _matches(fields[1], second // 60 % 60):
            yield second * 1000


def every_due_times(first_ms: int, period_ms: int, until_ms: int) -> Iterator[int]:
    """The due times (ms) of ``@every``, from the first one on."""
    yield from range(first_ms, until_ms + 1, period_ms)


def _matches(field: str, value: int) -> bool:
    if field == "*":
        return True
    if field.startswith("*/"):
        return value % int(field[2:]) == 0
    return value in [int(number) for number in field.split(",")]

"""The regular expression of schedules, for the description of the API: what a client can tell before it asks.

Whatever it matches is a schedule that fires. Not quite all of these match: left out are numbers with more than one zero
before them, steps and ranges inside of lists, ranges of months by name, and ranges from one number above nine to
another with the same tens, for all of which the expression would grow beyond use.
"""

from collections.abc import Collection, Sequence

from juvuln.schedule import DESCRIPTORS, FIELDS, Field

EVERY = r"@every (?:[0-9]{1,4}(?:\.[0-9]{0,9})?(?:ns|us|ms|s|m|h)){1,7}"
SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY = FIELDS
LONG_MONTHS, SHORTER_MONTHS = (1, 3, 5, 7, 8, 10, 12), (4, 6, 9, 11)


def schedule_pattern(zones: Collection[str]) -> str:
    """The expression, with ``zones`` as those that a schedule may name."""
    days_and_months = "|".join(
        [
            f"{_field(DAY, first=range(1, 30))} +{_field(MONTH)}",
            f"{_field(DAY)} +{_field(MONTH, first=LONG_MONTHS)}",
            f"30 +{_field(MONTH, first=SHORTER_MONTHS, star=False)}",
        ]
    )
    cron = f"{_field(SECOND)} +{_field(MINUTE)} +{_field(HOUR)} +(?:{days_and_months}) +{_field(WEEKDAY)}"
    zone = f"(?:CRON_)?TZ=(?:{'|'.join(sorted(zones)).replace('+', '[+]')}) +"
    return f"(?:{zone})?(?:{'|'.join(sorted(DESCRIPTORS))}|{EVERY}|{cron})"


def _field(field: Field, *, first: Collection[int] | None = None, star: bool = True) -> str:
    """A field that begins with one of ``first``, or with any of its values."""
    values = range(field.low, field.high + 1)
    allowed = values if first is None else [value for value in values if value in first]
    step, value, more = _step(field), _value(field, allowed), _value(field, values)
    kinds = [f"{value}(?:{step}|(?:,{more})*)", f"(?:{_range(field, allowed)}){step}?"]
    return f"(?:{'|'.join([rf'[*?]{step}?', *kinds] if star else kinds)})"


def _step(field: Field) -> str:
    return f"(?:/(?:{_number(range(1, field.high - field.low + 2))}))"


def _value(field: Field, allowed: Collection[int]) -> str:
    names = [_any_case(name) for number, name in enumerate(field.names, field.low) if number in allowed]
    return "(?:" + "|".join([_number(allowed), *names]) + ")"


def _number(allowed: Collection[int]) -> str:
    return "|".join(
        f"{tens or '0?'}[{_digits([number % 10 for number in sorted(allowed) if number // 10 == tens])}]"
        for tens in sorted({number // 10 for number in allowed})
    )


def _digits(digits: Sequence[int]) -> str:
    whole = len(digits) > 2 and len(digits) == digits[-1] - digits[0] + 1
    return f"{digits[0]}-{digits[-1]}" if whole else "".join(map(str, digits))


def _range(field: Field, allowed: Collection[int]) -> str:
    """From one value to a later one."""
    numbers = [
        f"(?:{_number([low for low in allowed if low // 10 == tens])})-(?:{_number(range(later, field.high + 1))})"
        for tens in sorted({number // 10 for number in allowed})
        if (later := 10 * tens + 10) <= field.high
    ]
    digits = [f"{low}-[{low + 1}-{min(9, field.high)}]" for low in allowed if low < min(9, field.high)]
    names = [
        f"{_any_case(name)}-(?:{'|'.join(map(_any_case, field.names[place:]))})"
        for place, name in enumerate(field.names)
        if len(field.names) < 10 and place + field.low in allowed
    ]
    return "|".join(numbers + digits + names)


def _any_case(name: str) -> str:
    return "".join(f"[{letter.upper()}{letter}]" for letter in name)

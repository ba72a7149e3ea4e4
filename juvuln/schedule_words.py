"""Schedules in words, for people. Pure functions.

The words are made from what a schedule means, not from how it is written: ``*/15`` and ``0,15,30,45`` read the same.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from itertools import pairwise, product

from juvuln.schedule import FIELDS, Cron, Every, Field, Schedule

MOST_CLOCK_TIMES = 6
"""So many times of day are listed one by one; more are put as steps and ranges."""

SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY = FIELDS
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
WEEKDAYS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")
UNITS = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))


def schedule_words(schedule: Schedule, zone: tzinfo, start: datetime) -> str:
    """When a schedule is due, such as ``at 23:45 on Saturdays, in Europe/Stockholm``.

    ``zone`` is the schedule's own, ``start`` (aware) the time from which ``@every`` counts.
    """
    if isinstance(schedule, Every):
        begin = start.astimezone(zone).replace(microsecond=0)
        return f"every {duration_words(schedule.period_seconds)}, from {begin.isoformat()}"
    return f"{_times(schedule)}{_days(schedule)}, in {zone}"


def duration_words(seconds: int) -> str:
    """``1 m 30 s`` for 90."""
    words = []
    for unit, size in UNITS:
        count, seconds = divmod(seconds, size)
        if count:
            words.append(f"{count} {unit}")
    return " ".join(words)


def field_rule(field: Field) -> str:
    """What may stand in a field."""
    names = f" or {field.names[0].upper()} to {field.names[-1].upper()}" if field.names else ""
    article = "an" if field is HOUR else "a"
    values = f"{field.low} to {field.high}{names}"
    return f"{article} {field.name} is {values}, a range a-b, a list a,b, a step */n or a/n, or *"


def _times(schedule: Cron) -> str:
    seconds, minutes, hours = schedule.seconds, schedule.minutes, schedule.hours
    if len(seconds) * len(minutes) * len(hours) <= MOST_CLOCK_TIMES:
        return "at " + _listed(_clock(*time, seconds) for time in product(hours, minutes, seconds))
    if len(seconds) == len(minutes) == 1:
        return _hourly(hours, minutes[0], seconds)
    fields = (
        [(minutes, MINUTE), (hours, HOUR)] if seconds == (0,) else [(seconds, SECOND), (minutes, MINUTE), (hours, HOUR)]
    )
    clauses = [_clause(values, field, first=not place) for place, (values, field) in enumerate(fields)]
    # "every 5 seconds of every minute of every hour" says no more than "every 5 seconds".
    while len(clauses) > 1 and clauses[-1] in ("every minute", "every hour") and clauses[-2].startswith("every "):
        del clauses[-1]
    return " of ".join(clauses)


def _hourly(hours: Sequence[int], minute: int, seconds: Sequence[int]) -> str:
    """One time of each of many hours."""
    if len(hours) == 24:
        if (minute, seconds[0]) == (0, 0):
            return "at the beginning of every hour"
        past = f"minute {minute}" + (f", second {seconds[0]}," if seconds[0] else "")
        return f"at {past} of every hour"
    step = _step(hours)
    if step is None:
        return "at " + _listed(_clock(hour, minute, seconds[0], seconds) for hour in hours)
    first, last = (_clock(hour, minute, seconds[0], seconds) for hour in (hours[0], hours[-1]))
    return f"every {'hour' if step == 1 else f'{step} hours'} from {first} to {last}"


def _clock(hour: int, minute: int, second: int, seconds: Sequence[int]) -> str:
    """``23:45``, with seconds only where some of the schedule's are not 0."""
    return f"{hour:02}:{minute:02}" if tuple(seconds) == (0,) else f"{hour:02}:{minute:02}:{second:02}"


def _clause(values: Sequence[int], field: Field, *, first: bool) -> str:
    """The values of one of the fields of the time; all but the first clause have an "of" before them."""
    size = field.high - field.low + 1
    if len(values) == size:
        return f"every {field.name}"
    step = _step(values)
    if step and values[0] == 0 and step * len(values) == size:
        return f"every {step} {field.name}s" if first else f"every {_ordinal(step)} {field.name}"
    name = f"{field.name}s" if len(values) > 1 else field.name
    return f"{'at ' if first else ''}{name} {_spans(values, [str(value) for value in values])}"


def _days(schedule: Cron) -> str:
    every_day, every_weekday = len(schedule.days) == DAY.high, len(schedule.weekdays) == len(WEEKDAYS)
    months = "" if len(schedule.months) == MONTH.high else _named(sorted(schedule.months), MONTHS, first=1)
    in_month, in_week = _days_of_month(schedule), f"on {_weekdays(schedule)}"
    if schedule.both_days and not (every_day and every_weekday):
        # One of them is open, so that the other decides.
        return f" {in_week}{_in(months)}" if every_day else f" {in_month} of {months or 'every month'}"
    if every_day or every_weekday:
        return f"{' every day' if _at_clock_times(schedule) else ''}{_in(months)}"
    return f" {in_month} of {months or 'every month'}, and also {in_week}{_in(months)} (either is enough)"


def _at_clock_times(schedule: Cron) -> bool:
    return len(schedule.hours) < HOUR.high + 1


def _in(months: str) -> str:
    return f" in {months}" if months else ""


def _days_of_month(schedule: Cron) -> str:
    days = sorted(schedule.days)
    if len(days) == DAY.high:
        return "on every day"
    return f"on the {_spans(days, [_ordinal(day) for day in days])}"


def _weekdays(schedule: Cron) -> str:
    """Monday first, as people count the days of a week; a schedule's Sunday is 0."""
    return _named(sorted((day - 1) % 7 for day in schedule.weekdays), WEEKDAYS, first=0)


def _named(values: Sequence[int], names: Sequence[str], *, first: int) -> str:
    return _joined(values, [names[value - first] for value in values])


def _spans(values: Sequence[int], words: Sequence[str]) -> str:
    """The words of rising values: ``6 to 9 and 12``, ``6 to 18 in steps of 2``."""
    step = _step(values)
    if step and step > 1:
        return f"{words[0]} to {words[-1]} in steps of {step}"
    return _joined(values, words)


def _joined(values: Sequence[int], words: Sequence[str]) -> str:
    """The words of rising values, three or more in a row as a range."""
    said: list[str] = []
    start = 0
    for end in range(1, len(values) + 1):
        if end < len(values) and values[end] == values[end - 1] + 1:
            continue
        row = words[start:end]
        said += [f"{row[0]} to {row[-1]}"] if len(row) > 2 else row
        start = end
    return _listed(said)


def _step(values: Sequence[int]) -> int | None:
    """The distance of rising values that are equally far from each other, of four or more."""
    distances = {high - low for low, high in pairwise(values)}
    return distances.pop() if len(values) > 3 and len(distances) == 1 else None


def _ordinal(number: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if 10 < number % 100 < 14 else endings.get(number % 10, 'th')}"


def _listed(words: Iterable[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last

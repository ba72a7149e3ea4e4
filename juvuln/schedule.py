"""Schedules: when a routine is due. Values and pure functions; no clock is read here.

The form is that of Go's robfig/cron v3 with seconds (Self-host contract): six fields, seconds first, or a descriptor,
with an optional zone before it. Daylight saving differs on purpose: a schedule whose hours are fixed fires once for
each of its days (what falls into the hour that spring skips fires when the skipped hour ends; of the hour that autumn
repeats only the first counts), one with ``*`` or a step in the hours follows elapsed time.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shared.errors import SelfhostError

HORIZON = timedelta(days=366 * 9)
"""How far ahead a due time is looked for; the 29th of February can be eight years away."""

LONGEST_REPEAT = timedelta(hours=25)


class ScheduleError(SelfhostError):
    """A schedule that cannot be read or can never fire."""


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    """Names of the values from ``low`` on."""


FIELDS = (
    Field("second", 0, 59),
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of month", 1, 31),
    Field("month", 1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")),
    Field("day of week", 0, 6, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)

DESCRIPTORS = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
}

DURATION_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, micro sign
    "μs": 1_000,  # U+03BC, Greek mu
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60 * 1_000_000_000,
    "h": 3600 * 1_000_000_000,
}
DURATION_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")


@dataclass(frozen=True, slots=True)
class Every:
    """``@every``: a fixed time after the last due time."""

    period_seconds: int

    def next_after(self, instant: datetime) -> datetime:
        """The next due time after ``instant`` (aware), in UTC, on a whole second."""
        return instant.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=self.period_seconds)


@dataclass(frozen=True, slots=True)
class Cron:
    """Six fields in a zone, each as the sorted values that match."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    both_days: bool
    """Whether day of month and day of week must both match (one of them is ``*`` or ``?``) or either may."""
    fixed_hours: bool
    zone: tzinfo

    def next_after(self, instant: datetime) -> datetime | None:
        """The next due time after ``instant`` (aware), in UTC; None if there is none within the horizon."""
        start = instant.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
        return self._next_on_the_wall(start) if self.fixed_hours else self._next_elapsed(start)

    def _matches_day(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        in_month = day.day in self.days
        in_week = day.isoweekday() % 7 in self.weekdays
        return (in_month and in_week) if self.both_days else (in_month or in_week)

    def _next_on_the_wall(self, start: datetime) -> datetime | None:
        """Fixed hours: walk the wall clock; each wall time stands for one instant."""
        earliest = earliest_wall(start, self.zone)
        day, last = earliest.date(), earliest.date() + HORIZON
        while day <= last:
            if self._matches_day(day):
                wall = next(self._walls_of(day, earliest), None)
                if wall is not None:
                    return instant_of_wall(wall, self.zone)
            day += timedelta(days=1)
        return None

    def _walls_of(self, day: date, earliest: datetime) -> Iterator[datetime]:
        """The wall times of ``day`` in order, from ``earliest`` on. What lies before is passed over by the field."""
        for hour in self.hours:
            if datetime(day.year, day.month, day.day, hour, 59, 59) < earliest:  # noqa: DTZ001
                continue
            for minute in self.minutes:
                if datetime(day.year, day.month, day.day, hour, minute, 59) < earliest:  # noqa: DTZ001
                    continue
                for second in self.seconds:
                    wall = datetime(day.year, day.month, day.day, hour, minute, second)  # noqa: DTZ001
                    if wall >= earliest:
                        yield wall

    def _next_elapsed(self, start: datetime) -> datetime | None:
        """Hours by ``*`` or a step: walk the instants, jumping over what cannot match."""
        instant, last = start, start + HORIZON
        while instant <= last:
            local = instant.astimezone(self.zone)
            if not self._matches_day(local.date()):
                seconds = 86_400 - (local.hour * 3600 + local.minute * 60 + local.second)
            elif local.hour not in self.hours:
                seconds = 3600 - (local.minute * 60 + local.second)
            elif local.minute not in self.minutes:
                seconds = 60 - local.second
            elif local.second not in self.seconds:
                seconds = 1
            else:
                return instant
            instant = jump(instant, seconds, self.zone)
        return None


Schedule = Every | Cron


def earliest_wall(start: datetime, zone: tzinfo) -> datetime:
    """The earliest naive wall time that stands for ``start`` or a later instant (see :func:`instant_of_wall`)."""
    local, before = start.astimezone(zone), (start - timedelta(seconds=1)).astimezone(zone)
    if _offset(before) < _offset(local):
        # A gap ends here, and all wall times in it stand for this instant.
        return before.replace(tzinfo=None) + timedelta(seconds=1)
    if local.fold:
        # The repeated hour, for the second time: its wall times stood for the first.
        change = change_of_offset(start - LONGEST_REPEAT, start, zone)
        return change.replace(tzinfo=None) + _offset(local.replace(fold=0))
    return local.replace(tzinfo=None)


def _offset(local: datetime) -> timedelta:
    return local.utcoffset() or timedelta(0)


def instant_of_wall(wall: datetime, zone: tzinfo) -> datetime:
    """The instant (UTC) that a naive wall time stands for: the first of two, or the end of the gap that swallows it."""
    instant = wall.replace(tzinfo=zone).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall:
        return instant
    # In a gap, fold=0 reckons with the offset before it and so lands after it, fold=1 the other way round.
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return change_of_offset(before, instant, zone)


def change_of_offset(low: datetime, high: datetime, zone: tzinfo) -> datetime:
    """The first second after ``low`` with another offset from UTC; there is one by ``high``."""
    offset = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = (low + (high - low) / 2).replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return high


def jump(instant: datetime, seconds: int, zone: tzinfo) -> datetime:
    """``instant`` + ``seconds``, but never past a change of the clock: the wall may go back to what would match."""
    target = instant + timedelta(seconds=seconds)
    if target.astimezone(zone).utcoffset() == instant.astimezone(zone).utcoffset():
        return target
    return change_of_offset(instant, target, zone)


def load_zone(name: str) -> tzinfo:
    """The zone of an IANA name. Raises ScheduleError."""
    try:
        return UTC if name.upper() == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ScheduleError(f"there is no time zone {name!r}") from error


def parse_schedule(text: str, default_zone: tzinfo) -> Schedule:
    """Read a schedule. Raises ScheduleError with a sentence that names the field at fault."""
    if not text.strip():
        raise ScheduleError('there is none; a routine needs one, such as "0 */5 * * * *" or "@every 90s"')
    zone, rest = _split_zone(text.strip(), default_zone)
    descriptor, _, period = rest.partition(" ")
    if descriptor == "@every":
        return Every(_parse_period(period.strip()))
    if rest.startswith("@"):
        if rest not in DESCRIPTORS:
            raise ScheduleError(
                f"there is no descriptor {rest!r}; there are @every and {', '.join(sorted(DESCRIPTORS))}"
            )
        rest = DESCRIPTORS[rest]
    parts = rest.split()
    if len(parts) != len(FIELDS):
        names = ", ".join(field.name for field in FIELDS)
        raise ScheduleError(f"a schedule has six fields ({names}) and this has {len(parts)}: {text!r}")
    return _parse_cron(parts, zone)


def first_due(schedule: Schedule, instant: datetime) -> datetime:
    """The next due time after ``instant``. Raises ScheduleError if the schedule can never fire."""
    due = schedule.next_after(instant)
    if due is None:
        raise ScheduleError("this schedule can never fire: there is no such day")
    return due


def _split_zone(text: str, default_zone: tzinfo) -> tuple[tzinfo, str]:
    prefix, equals, rest = text.partition("=")
    if not equals or prefix not in ("TZ", "CRON_TZ"):
        return default_zone, text
    name, _, fields = rest.partition(" ")
    if not name or not fields.strip():
        raise ScheduleError(f"{prefix}= needs a zone and a schedule behind it, such as TZ=Europe/Stockholm 0 0 6 * * *")
    return load_zone(name), fields.strip()


def _parse_period(text: str) -> int:
    """Seconds of a Go duration, at least one; parts of a second are left off, as the reference parser does."""
    if not text or DURATION_PART.sub("", text):
        raise ScheduleError(f"@every needs a duration such as 1h30m, 90s or 1.5h, not {text!r}")
    total_ns = sum(float(number) * DURATION_UNITS_NS[unit] for number, unit in DURATION_PART.findall(text))
    if total_ns > HORIZON.total_seconds() * 1e9:
        raise ScheduleError(f"@every {text} is longer than nine years")
    return max(1, int(total_ns / 1e9))


def _parse_cron(parts: list[str], zone: tzinfo) -> Cron:
    values = [_parse_field(part, field) for part, field in zip(parts, FIELDS, strict=True)]
    seconds, minutes, hours, days, months, weekdays = values
    return Cron(
        seconds=tuple(sorted(seconds)),
        minutes=tuple(sorted(minutes)),
        hours=tuple(sorted(hours)),
        days=frozenset(days),
        months=frozenset(months),
        weekdays=frozenset(weekdays),
        both_days=_is_star(parts[3]) or _is_star(parts[5]),
        fixed_hours=not any(sign in parts[2] for sign in "*?/"),
        zone=zone,
    )


def _is_star(part: str) -> bool:
    """Whether a field leaves the choice open. ``*/2`` does not, as in the reference parser; ``*/1`` does."""
    return any(re.fullmatch(r"[*?](/1)?", item) for item in part.split(","))


def _parse_field(part: str, field: Field) -> set[int]:
    values: set[int] = set()
    for item in part.split(","):
        values |= _parse_item(item, field)
    return values


def _parse_item(item: str, field: Field) -> set[int]:
    span, slash, step_text = item.partition("/")
    step = _parse_step(step_text, field, item) if slash else 1
    low_text, dash, high_text = span.partition("-")
    if span in ("*", "?"):
        low, high = field.low, field.high
    else:
        low = _parse_value(low_text, field, item)
        # `5/15` means from 5 on; `5` alone means 5.
        high = _parse_value(high_text, field, item) if dash else (field.high if slash else low)
    if low > high:
        raise ScheduleError(f"{field.name}: {item!r} begins after its end")
    return set(range(low, high + 1, step))


def _parse_step(text: str, field: Field, item: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 4 or int(text) == 0:
        raise ScheduleError(f"{field.name}: the step in {item!r} must be a positive whole number")
    if int(text) > field.high - field.low + 1:
        raise ScheduleError(f"{field.name}: the step in {item!r} is larger than the field's whole range")
    return int(text)


def _parse_value(text: str, field: Field, item: str) -> int:
    if text.lower() in field.names:
        return field.names.index(text.lower()) + field.low
    if not (text.isascii() and text.isdigit()) or len(text) > 4:
        raise ScheduleError(f"{field.name}: {item!r} is neither a number nor a name that is known here")
    if not field.low <= int(text) <= field.high:
        raise ScheduleError(f"{field.name}: {int(text)} is not within {field.low} to {field.high}")
    return int(text)

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


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    """Names of the values from ``low`` on."""


class ScheduleError(SelfhostError):
    """A schedule that cannot be read or can never fire.

    ``span`` is where the fault is in the schedule's text (from, to), ``field`` the field that it is in; None where it
    is not in one.
    """

    def __init__(self, message: str, span: tuple[int, int] | None = None, field: Field | None = None) -> None:
        super().__init__(message)
        self.span = span
        self.field = field


FIELDS = (
    Field("second", 0, 59),
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of month", 1, 31),
    Field("month", 1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")),
    Field("day of week", 0, 6, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)

LONGEST_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Days of each month, in a leap year."""

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


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a schedule's text, which knows where it stands there."""

    text: str
    start: int = 0

    def cut(self, start: int, end: int | None = None) -> "Part":
        return Part(self.text[start:end], self.start + start)

    def stripped(self) -> "Part":
        return self.cut(len(self.text) - len(self.text.lstrip()), len(self.text.rstrip()))

    def partition(self, separator: str) -> tuple["Part", bool, "Part"]:
        """What stands before the first separator, whether there is one, and what stands behind it."""
        before, found, _ = self.text.partition(separator)
        return self.cut(0, len(before)), bool(found), self.cut(len(before) + len(found))

    def split(self, pattern: str) -> list["Part"]:
        """The pieces of the text that match ``pattern``."""
        return [self.cut(*match.span()) for match in re.finditer(pattern, self.text)]

    def fault(self, message: str, field: Field | None = None) -> ScheduleError:
        return ScheduleError(message, (self.start, self.start + len(self.text)), field)


def parse_schedule(text: str, default_zone: tzinfo) -> Schedule:
    """Read a schedule. Raises ScheduleError with a sentence that names the field at fault."""
    zone, rest = _split_zone(Part(text), default_zone)
    descriptor, _, period = rest.partition(" ")
    if descriptor.text == "@every":
        return Every(_parse_period(period.stripped() if period.text else rest))
    if rest.text.startswith("@"):
        if rest.text not in DESCRIPTORS:
            known = ", ".join(sorted(DESCRIPTORS))
            raise rest.fault(f"there is no descriptor {rest.text!r}; there are @every and {known}")
        rest = Part(DESCRIPTORS[rest.text])
    parts = rest.split(r"\S+")
    if len(parts) != len(FIELDS):
        names = ", ".join(field.name for field in FIELDS)
        fault = parts[len(FIELDS)] if len(parts) > len(FIELDS) else Part("", rest.start + len(rest.text))
        raise fault.fault(f"a schedule has six fields ({names}) and this has {len(parts)}: {text.strip()!r}")
    return _parse_cron(parts, zone)


def schedule_zone(text: str, default_zone: tzinfo) -> tzinfo:
    """The zone that a schedule is in: the one before its fields, or else ``default_zone``. Raises ScheduleError."""
    return _split_zone(Part(text), default_zone)[0]


def first_due(schedule: Schedule, instant: datetime) -> datetime:
    """The next due time after ``instant``. Raises ScheduleError if the schedule can never fire."""
    due = schedule.next_after(instant)
    if due is None:
        raise ScheduleError("this schedule can never fire: there is no such day")
    return due


def follows_elapsed_time(schedule: Schedule) -> bool:
    """Whether it fires after so much time, whatever the clock on the wall shows; one with fixed hours does not."""
    return isinstance(schedule, Every) or not schedule.fixed_hours


def upcoming(schedule: Schedule, start: datetime, count: int) -> Iterator[datetime]:
    """The first ``count`` due times after ``start`` (aware), in UTC. Raises ScheduleError if there are fewer."""
    due = start
    for _ in range(count):
        try:
            due = first_due(schedule, due)
        except OverflowError as error:
            raise ScheduleError("the due times would go on beyond the year 9999") from error
        yield due


def _split_zone(whole: Part, default_zone: tzinfo) -> tuple[tzinfo, Part]:
    text = whole.stripped()
    if not text.text:
        raise whole.fault('there is none; a routine needs one, such as "0 */5 * * * *" or "@every 90s"')
    prefix, found, rest = text.partition("=")
    if not found or prefix.text not in ("TZ", "CRON_TZ"):
        return default_zone, text
    name, _, fields = rest.partition(" ")
    if not name.text or not fields.text.strip():
        example = "such as TZ=Europe/Stockholm 0 0 6 * * *"
        raise text.fault(f"{prefix.text}= needs a zone and a schedule behind it, {example}")
    try:
        return load_zone(name.text), fields.stripped()
    except ScheduleError as error:
        raise name.fault(str(error)) from error


def _parse_period(part: Part) -> int:
    """Seconds of a Go duration, at least one; parts of a second are left off, as the reference parser does."""
    text = part.text
    if DURATION_PART.sub("", text):
        raise part.fault(f"@every needs a duration such as 1h30m, 90s or 1.5h, not {text!r}")
    total_ns = sum(float(number) * DURATION_UNITS_NS[unit] for number, unit in DURATION_PART.findall(text))
    if total_ns > HORIZON.total_seconds() * 1e9:
        raise part.fault(f"@every {text} is longer than nine years")
    return max(1, int(total_ns / 1e9))


def _parse_cron(parts: list[Part], zone: tzinfo) -> Cron:
    values = [_parse_field(part, field) for part, field in zip(parts, FIELDS, strict=True)]
    seconds, minutes, hours, days, months, weekdays = values
    both_days = _is_star(parts[3]) or _is_star(parts[5])
    if both_days and not any(min(days) <= LONGEST_MONTH[month - 1] for month in months):
        end = parts[4].start + len(parts[4].text)
        raise ScheduleError("this schedule can never fire: there is no such day", (parts[3].start, end))
    return Cron(
        seconds=tuple(sorted(seconds)),
        minutes=tuple(sorted(minutes)),
        hours=tuple(sorted(hours)),
        days=frozenset(days),
        months=frozenset(months),
        weekdays=frozenset(weekdays),
        both_days=both_days,
        fixed_hours=not any(sign in parts[2].text for sign in "*?/"),
        zone=zone,
    )


def _is_star(part: Part) -> bool:
    """Whether a field leaves the choice open. ``*/2`` does not, as in the reference parser; ``*/1`` does."""
    return any(re.fullmatch(r"[*?](/1)?", item) for item in part.text.split(","))


def _parse_field(part: Part, field: Field) -> set[int]:
    values: set[int] = set()
    for item in part.split(r"(?:(?<=,)|\A)[^,]*"):
        values |= _parse_item(item, field)
    return values


def _parse_item(item: Part, field: Field) -> set[int]:
    span, stepped, step_part = item.partition("/")
    step = _parse_step(step_part, field, item) if stepped else 1
    low_part, ranged, high_part = span.partition("-")
    if span.text in ("*", "?"):
        low, high = field.low, field.high
    else:
        low = _parse_value(low_part, field, item)
        # `5/15` means from 5 on; `5` alone means 5.
        high = _parse_value(high_part, field, item) if ranged else (field.high if stepped else low)
    if low > high:
        raise span.fault(f"{field.name}: {item.text!r} begins after its end", field)
    return set(range(low, high + 1, step))


def _parse_step(part: Part, field: Field, item: Part) -> int:
    text = part.text
    if not (text.isascii() and text.isdigit()) or len(text) > 4 or int(text) == 0:
        fault = f"{field.name}: the step in {item.text!r} must be a positive whole number"
        raise (part if text else item).fault(fault, field)
    # One that leads out of the field leaves its first value, as the reference parser has it.
    return int(text)


def _parse_value(part: Part, field: Field, item: Part) -> int:
    text = part.text
    if text.lower() in field.names:
        return field.names.index(text.lower()) + field.low
    if not (text.isascii() and text.isdigit()) or len(text) > 4:
        fault = f"{field.name}: {item.text!r} is neither a number nor a name that is known here"
        raise (part if text else item).fault(fault, field)
    if not field.low <= int(text) <= field.high:
        raise part.fault(f"{field.name}: {int(text)} is not within {field.low} to {field.high}", field)
    return int(text)

"""Schedules: what is read, what is refused, and when it is due."""

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from juvuln.schedule import Cron, Every, ScheduleError, first_due, parse_schedule

STOCKHOLM = ZoneInfo("Europe/Stockholm")


def due_times(text: str, start: str, count: int, zone: tzinfo = UTC) -> list[str]:
    """The first due times after ``start`` (ISO, in ``zone``), as ISO in ``zone``."""
    schedule = parse_schedule(text, zone)
    instant = datetime.fromisoformat(start).replace(tzinfo=zone)
    found = []
    for _ in range(count):
        instant = first_due(schedule, instant)
        found.append(instant.astimezone(zone).isoformat())
    return found


@pytest.mark.parametrize(
    ("text", "start", "expected"),
    [
        ("*/5 * * * * *", "2026-01-01T00:00:02", ["2026-01-01T00:00:05", "2026-01-01T00:00:10"]),
        ("0 45 23 * * 6", "2026-01-01T00:00:00", ["2026-01-03T23:45:00", "2026-01-10T23:45:00"]),
        ("0 0 12 ? * MON-wed", "2026-01-01T00:00:00", ["2026-01-05T12:00:00", "2026-01-06T12:00:00"]),
        ("0 5/15 * * * *", "2026-01-01T00:00:00", ["2026-01-01T00:05:00", "2026-01-01T00:20:00"]),
        ("0 0 0 1,15 jan,JUL ?", "2026-01-02T00:00:00", ["2026-01-15T00:00:00", "2026-07-01T00:00:00"]),
        ("0 0 0 29 2 *", "2026-01-01T00:00:00", ["2028-02-29T00:00:00", "2032-02-29T00:00:00"]),
        ("@hourly", "2026-01-01T00:30:00", ["2026-01-01T01:00:00", "2026-01-01T02:00:00"]),
        ("@daily", "2026-01-01T00:30:00", ["2026-01-02T00:00:00", "2026-01-03T00:00:00"]),
        ("@midnight", "2026-12-31T00:30:00", ["2027-01-01T00:00:00", "2027-01-02T00:00:00"]),
        ("@weekly", "2026-01-01T00:30:00", ["2026-01-04T00:00:00", "2026-01-11T00:00:00"]),
        ("@monthly", "2026-01-01T00:30:00", ["2026-02-01T00:00:00", "2026-03-01T00:00:00"]),
        ("@yearly", "2026-01-01T00:30:00", ["2027-01-01T00:00:00", "2028-01-01T00:00:00"]),
        ("@annually", "2026-01-01T00:30:00", ["2027-01-01T00:00:00", "2028-01-01T00:00:00"]),
        ("@every 1h30m", "2026-01-01T00:00:00.7", ["2026-01-01T01:30:00", "2026-01-01T03:00:00"]),
        ("@every 300ms", "2026-01-01T00:00:00", ["2026-01-01T00:00:01", "2026-01-01T00:00:02"]),
        # With a star in one of the two day fields the other decides alone; without one either may match.
        ("0 0 0 13 * *", "2026-01-01T00:00:00", ["2026-01-13T00:00:00", "2026-02-13T00:00:00"]),
        ("0 0 0 13 * 5", "2026-01-01T00:00:00", ["2026-01-02T00:00:00", "2026-01-09T00:00:00"]),
        # As in the reference parser, a step takes the star's meaning away: even days, or Mondays.
        ("0 0 0 */2 * 1", "2026-01-01T00:00:00", ["2026-01-03T00:00:00", "2026-01-05T00:00:00"]),
    ],
)
def test_a_schedule_is_due_when_the_reference_parser_says(text: str, start: str, expected: list[str]) -> None:
    assert due_times(text, start, 2) == [f"{time}+00:00" for time in expected]


@pytest.mark.parametrize("prefix", ["TZ=", "CRON_TZ="])
def test_a_zone_before_the_fields_holds_for_them(prefix: str) -> None:
    assert due_times(f"{prefix}America/New_York 0 0 6 * * *", "2026-01-01T00:00:00", 1) == ["2026-01-01T11:00:00+00:00"]


@pytest.mark.parametrize(
    ("text", "start", "expected"),
    [
        # Spring: 02:00 to 03:00 does not exist on 2026-03-29.
        ("0 30 2 * * *", "2026-03-28T12:00:00", ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]),
        ("0 30 * * * *", "2026-03-29T01:00:00", ["2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"]),
        # Autumn: 02:00 to 03:00 happens twice on 2026-10-25.
        ("0 30 2 * * *", "2026-10-24T12:00:00", ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]),
        ("0 30 */1 * * *", "2026-10-25T02:00:00", ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"]),
    ],
)
def test_fixed_hours_fire_once_a_day_over_a_change_of_the_clock_and_others_follow_elapsed_time(
    text: str, start: str, expected: list[str]
) -> None:
    assert due_times(text, start, 2, STOCKHOLM) == expected


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "there is none"),
        ("* * * * *", "six fields"),
        ("* * * * * * *", "six fields"),
        ("60 * * * * *", "second: 60"),
        ("* 60 * * * *", "minute: 60"),
        ("* * 24 * * *", "hour: 24"),
        ("* * * 0 * *", "day of month: 0"),
        ("* * * * 13 *", "month: 13"),
        ("* * * * * 7", "day of week: 7"),
        ("* * * * foo *", "month: 'foo'"),
        (", * * * * *", "second: ''"),
        ("5-1 * * * * *", "begins after its end"),
        ("*/0 * * * * *", "step"),
        ("*/x * * * * *", "step"),
        ("1--2 * * * * *", "second"),
        ("-1 * * * * *", "second"),
        ("² * * * * *", "second"),
        ("@every", "@every needs a duration"),
        ("@every 5", "@every needs a duration"),
        ("@every 99999999h", "nine years"),
        ("@sometimes", "no descriptor"),
        ("TZ=UTC", "TZ= needs"),
        ("TZ= * * * * * *", "TZ= needs"),
        ("TZ=Mars/Base * * * * * *", "time zone 'Mars/Base'"),
        ("TZ=../../etc/passwd * * * * * *", "time zone"),
    ],
)
def test_a_bad_schedule_is_refused_with_the_field_at_fault(text: str, fault: str) -> None:
    with pytest.raises(ScheduleError, match=fault.replace("*", r"\*")):
        parse_schedule(text, UTC)


def test_a_schedule_that_can_never_fire_is_refused() -> None:
    with pytest.raises(ScheduleError, match="never fire"):
        first_due(parse_schedule("0 0 0 30 2 *", UTC), datetime(2026, 1, 1, tzinfo=UTC))


FIELD = st.sampled_from(["*", "0", "*/7", "1-3", "5/15", "2,3"])
TEXTS = st.builds(
    " ".join,
    st.tuples(
        FIELD,
        FIELD,
        st.sampled_from(["*", "2", "1-3", "*/2", "0,23"]),
        st.sampled_from(["*", "1", "28-31", "29", "1,30"]),
        st.sampled_from(["*", "2,3", "10-12", "12"]),
        st.sampled_from(["*", "0", "1-5"]),
    ),
)
WINDOWS = st.sampled_from(
    [
        ("Europe/Stockholm", "2026-03-29T01:00"),  # an hour is skipped
        ("Europe/Stockholm", "2026-10-25T01:00"),  # an hour is repeated
        ("America/New_York", "2026-03-08T07:00"),
        ("America/New_York", "2026-11-01T06:00"),
        ("America/Havana", "2026-03-08T05:00"),  # the day begins at one
        ("America/Havana", "2026-11-01T05:00"),
        ("Australia/Lord_Howe", "2026-10-03T15:30"),  # by half an hour
        ("Australia/Lord_Howe", "2026-04-04T15:00"),
        ("Pacific/Apia", "2011-12-30T10:00"),  # a whole day is skipped
        ("Asia/Kathmandu", "2028-02-28T18:15"),  # the leap day begins
        ("UTC", "2028-03-01T00:00"),  # it has ended
        ("UTC", "2026-03-01T00:00"),  # there was none
        ("Europe/Stockholm", "2026-12-31T23:00"),  # the year ends
        ("Asia/Tokyo", "2026-06-01T00:00"),
    ]
)
"""Zones, and instants (UTC) around which something happens there."""


@given(text=TEXTS, window=WINDOWS, before_seconds=st.integers(1, 3 * 3600))
@settings(max_examples=60, deadline=None)
def test_due_times_equal_a_scan_second_by_second(text: str, window: tuple[str, str], before_seconds: int) -> None:
    zone = ZoneInfo(window[0])
    begin = datetime.fromisoformat(window[1]).replace(tzinfo=UTC) - timedelta(seconds=before_seconds)
    end = begin + timedelta(hours=3, minutes=30)
    try:
        schedule = parse_schedule(text, zone)
    except ScheduleError:
        return  # such as the thirtieth of February
    assert isinstance(schedule, Cron)
    found, instant = [], schedule.next_after(begin)
    while instant is not None and instant < end:
        found.append(instant)
        instant = schedule.next_after(instant)
    assert found == scan(schedule, text, begin, end)


def scan(schedule: Cron, text: str, begin: datetime, end: datetime) -> list[datetime]:
    """Every second of the window, judged by itself."""
    day, _, weekday = text.split()[3:]
    both_days = "*" in (day, weekday)
    due, instant = [], begin + timedelta(seconds=1)
    while instant < end:
        local = instant.astimezone(schedule.zone)
        repeated = local.fold == 1 and schedule.fixed_hours
        if (matches(schedule, local, both_days) and not repeated) or ends_a_gap_with_something_in_it(
            schedule, instant, both_days
        ):
            due.append(instant)
        instant += timedelta(seconds=1)
    return due


def matches(schedule: Cron, local: datetime, both_days: bool) -> bool:
    days = local.day in schedule.days, local.isoweekday() % 7 in schedule.weekdays
    return (
        local.second in schedule.seconds
        and local.minute in schedule.minutes
        and local.hour in schedule.hours
        and local.month in schedule.months
        and (all(days) if both_days else any(days))
    )


def ends_a_gap_with_something_in_it(schedule: Cron, instant: datetime, both_days: bool) -> bool:
    before, now = (instant - timedelta(seconds=1)).astimezone(schedule.zone), instant.astimezone(schedule.zone)
    if not schedule.fixed_hours or before.utcoffset() == now.utcoffset() or now.fold == 1:
        return False
    wall = before.replace(tzinfo=None) + timedelta(seconds=1)
    while wall < now.replace(tzinfo=None):
        if matches(schedule, wall, both_days):
            return True
        wall += timedelta(seconds=1)
    return False


@given(seconds=st.integers(1, 10_000), start=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)))  # noqa: DTZ001
def test_every_moves_on_by_its_period(seconds: int, start: datetime) -> None:
    instant = start.replace(tzinfo=UTC)
    due = Every(seconds).next_after(instant)
    assert due - instant.replace(microsecond=0) == timedelta(seconds=seconds)


def test_a_step_out_of_the_field_leaves_its_first_value() -> None:
    at = datetime(2026, 5, 1, 0, 10, tzinfo=UTC)
    assert first_due(parse_schedule("0 */90 * * * *", UTC), at) == datetime(2026, 5, 1, 1, 0, tzinfo=UTC)

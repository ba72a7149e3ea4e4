"""Schedules in words."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from juvuln.schedule import FIELDS, Field, ScheduleError, parse_schedule, schedule_zone
from juvuln.schedule_words import schedule_words

START = datetime(2026, 1, 1, 12, 30, 15, 999_999, tzinfo=UTC)


def words(text: str) -> str:
    return schedule_words(parse_schedule(text, UTC), schedule_zone(text, UTC), START)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("TZ=Europe/Stockholm 0 45 23 * * 6", "at 23:45 on Saturdays, in Europe/Stockholm"),
        ("@every 90s", "every 1 m 30 s, from 2026-01-01T12:30:15+00:00"),
        ("TZ=Asia/Kolkata @every 25h", "every 1 d 1 h, from 2026-01-01T18:00:15+05:30"),
        ("* * * * * *", "every second, in UTC"),
        ("*/5 * * * * *", "every 5 seconds, in UTC"),
        ("0 * * * * *", "every minute, in UTC"),
        ("0 */15 * * * *", "every 15 minutes, in UTC"),
        ("0 0,15,30,45 * * * *", "every 15 minutes, in UTC"),
        # Seven does not divide an hour, so that this is not every seven minutes.
        ("0 */7 * * * *", "at minutes 0 to 56 in steps of 7 of every hour, in UTC"),
        ("0 5/15 * * * *", "at minutes 5 to 50 in steps of 15 of every hour, in UTC"),
        ("30 */5 * * * *", "at second 30 of every 5th minute, in UTC"),
        ("* 5 * * * *", "every second of minute 5 of every hour, in UTC"),
        ("*/5 * 3 * * *", "every 5 seconds of every minute of hour 3 every day, in UTC"),
        ("@hourly", "at the beginning of every hour, in UTC"),
        ("15 30 * * * *", "at minute 30, second 15, of every hour, in UTC"),
        ("0 0 6-18/2 * * MON-FRI", "every 2 hours from 06:00 to 18:00 on Mondays to Fridays, in UTC"),
        ("0 */15 6-18 * * SAT,SUN", "every 15 minutes of hours 6 to 18 on Saturdays and Sundays, in UTC"),
        ("10 0 8,12 * * *", "at 08:00:10 and 12:00:10 every day, in UTC"),
        ("@monthly", "at 00:00 on the 1st of every month, in UTC"),
        ("0 0 0 1,15,22,23 jan,JUL ?", "at 00:00 on the 1st, 15th, 22nd and 23rd of January and July, in UTC"),
        ("0 30 * * 3-5 *", "at minute 30 of every hour in March to May, in UTC"),
        # Day of month and day of week: with a star in one of them the other decides, else either is enough.
        ("0 0 0 13 * *", "at 00:00 on the 13th of every month, in UTC"),
        ("0 0 0 * 2 1", "at 00:00 on Mondays in February, in UTC"),
        ("0 0 0 13 * 5", "at 00:00 on the 13th of every month, and also on Fridays (either is enough), in UTC"),
        ("0 0 0 1-31 * 1", "at 00:00 every day, in UTC"),
    ],
)
def test_a_schedule_is_said_in_words(text: str, said: str) -> None:
    assert words(text) == said


def items(field: Field) -> st.SearchStrategy[str]:
    values = st.integers(field.low, field.high)
    ranges = st.tuples(values, values).map(lambda ends: f"{min(ends)}-{max(ends)}")
    spans = st.one_of(values.map(str), ranges, st.sampled_from(["*", "?", *field.names]))
    steps = st.one_of(st.just(""), st.integers(1, field.high - field.low + 1).map("/{}".format))
    return st.lists(st.builds("{}{}".format, spans, steps), min_size=1, max_size=4).map(",".join)


@given(st.tuples(*map(items, FIELDS)).map(" ".join))
def test_every_schedule_that_can_fire_has_words(text: str) -> None:
    try:
        said = words(text)
    except ScheduleError as error:
        assert "never fire" in str(error)
        return
    assert said.endswith(", in UTC")
    assert "  " not in said

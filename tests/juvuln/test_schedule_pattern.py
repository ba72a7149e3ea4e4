"""What the description of the API says of schedules and names is what the server takes."""

import re
from datetime import UTC, datetime
from zoneinfo import available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from juvuln.schedule import first_due, parse_schedule
from juvuln.schedule_pattern import schedule_pattern
from shared.module_names import BUILTIN_MODULES, MODULE_NAME, module_name_fault

PATTERN = re.compile(schedule_pattern(sorted(available_timezones())), re.ASCII)


@settings(max_examples=300, deadline=None)
@given(st.from_regex(PATTERN, fullmatch=True))
def test_whatever_matches_is_a_schedule_that_fires(text: str) -> None:
    first_due(parse_schedule(text, UTC), datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "text",
    [
        "0 45 23 * * 6",
        "*/5 * * * * *",
        "0 5/15 * ? * *",
        "0 0 6 1,15 jan,JUL ?",
        "0 0 8-17 * * MON-FRI",
        "0 0 0 31 * *",
        "0 0 0 30 4 *",
        "@hourly",
        "@every 1h30m",
        "@every 1.5h",
        "TZ=Europe/Stockholm 0 0 6 * * *",
        "CRON_TZ=Etc/GMT+1 @daily",
    ],
)
def test_schedules_as_people_write_them_match(text: str) -> None:
    assert PATTERN.fullmatch(text)


@pytest.mark.parametrize(
    "text", ["", "0s", "often", "0 0 0 30 2 *", "60 * * * * *", "* * * * *", "@every", "TZ=Nowhere @daily"]
)
def test_what_is_no_schedule_does_not(text: str) -> None:
    assert not PATTERN.fullmatch(text)


@given(st.text(max_size=8) | st.sampled_from([*BUILTIN_MODULES, "a.tengo", ".a", "/a", "a\n", "http2", "a.b"]))
def test_names_of_modules_are_described_as_they_are_checked(name: str) -> None:
    assert bool(re.fullmatch(MODULE_NAME.rstrip("$"), name)) is (module_name_fault(name) is None)

"""`juvuln next`: due times, and where the fault in a schedule is."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from juvuln.cli import app
from juvuln.schedule import parse_schedule, upcoming


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.stdout, result.stderr


def due(*arguments: str) -> list[str]:
    status, printed, told = run("next", *arguments, "--json")
    assert status == 0, told
    found: list[str] = json.loads(printed)
    return found


@pytest.mark.parametrize("command", [["next"], ["program", "next"]])
def test_it_prints_words_and_due_times_with_their_offset(command: list[str]) -> None:
    status, printed, told = run(
        *command, "TZ=Europe/Stockholm 0 45 23 * * 6", "--from", "2026-10-20T00:00:00Z", "-n", "2"
    )
    assert (status, told) == (0, "")
    assert printed.splitlines() == [
        "at 23:45 on Saturdays, in Europe/Stockholm",
        "2026-10-24T23:45:00+02:00  Saturday",
        "2026-10-31T23:45:00+01:00  Saturday",
    ]


def test_a_time_without_an_offset_is_in_the_schedules_zone() -> None:
    start = ["--from", "2026-06-01T12:00:00", "--count", "1"]
    assert due("0 0 13 * * *", *start) == ["2026-06-01T13:00:00+00:00"]
    assert due("0 0 13 * * *", *start, "--zone", "Asia/Tokyo") == ["2026-06-01T13:00:00+09:00"]
    assert due("TZ=Asia/Kolkata 0 0 13 * * *", *start, "--zone", "Asia/Tokyo") == ["2026-06-01T13:00:00+05:30"]


def test_every_counts_from_the_given_time_as_the_daemon_counts_from_the_last_due_time() -> None:
    found = due("@every 90s", "--from", "2026-06-01T12:00:00.7Z", "--count", "2")
    assert found == ["2026-06-01T12:01:30+00:00", "2026-06-01T12:03:00+00:00"]


def test_a_fixed_hour_is_due_once_a_day_when_the_clock_changes() -> None:
    found = due("0 30 2 * * *", "--zone", "Europe/Stockholm", "--from", "2026-03-28T12:00:00", "--count", "2")
    assert found == ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]


@given(
    schedule=st.sampled_from(["*/7 * * * * *", "0 5/15 2 * * *", "@weekly", "@every 1h30m", "0 0 0 13 * 5"]),
    zone=st.sampled_from(["UTC", "Europe/Stockholm", "America/New_York", "Asia/Kathmandu"]),
    start=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
@settings(max_examples=25, deadline=None)
def test_what_is_printed_is_when_the_daemon_runs_it(schedule: str, zone: str, start: datetime) -> None:
    found = due(schedule, "--zone", zone, "--from", start.isoformat(), "--count", "3")
    expected = upcoming(parse_schedule(schedule, ZoneInfo(zone)), start, 3)
    assert found == [instant.astimezone(ZoneInfo(zone)).isoformat() for instant in expected]


def test_quiet_prints_the_due_times_alone() -> None:
    status, printed, _ = run("next", "@daily", "--from", "2026-01-01", "--count", "1", "--quiet")
    assert (status, printed) == (0, "2026-01-02T00:00:00+00:00\n")


@pytest.mark.parametrize(
    ("schedule", "shown"),
    [
        ("0 60 * * * *", ["minute: 60 is not within 0 to 59 (character 3)", "    0 60 * * * *", "      ^^"]),
        ("0 1,2,x9 * * * *", ["minute: 'x9' is neither", "    0 1,2,x9 * * * *", "          ^^"]),
        (" 0  0 5-1 * * *", ["hour: '5-1' begins after its end", "     0  0 5-1 * * *", "          ^^^"]),
        ("*/0 * * * * *", ["the step in '*/0' must be", "    */0 * * * * *", "      ^"]),
        ("0 0 * * * funday", ["day of week: 'funday'", "    0 0 * * * funday", "              ^^^^^^"]),
        ("0 , * * * *", ["minute: ''", "    0 , * * * *", "      ^"]),
        ("0 0 0 30 2 *", ["can never fire", "    0 0 0 30 2 *", "          ^^^^"]),
        ("0 0 0 30,31 feb ?", ["can never fire", "    0 0 0 30,31 feb ?", "          ^^^^^^^^^"]),
        ("* * * * *", ["six fields", "    * * * * *", "             ^"]),
        ("0 * * * * * 2026", ["six fields", "    0 * * * * * 2026", "                ^^^^"]),
        ("@every soon", ["@every needs a duration", "    @every soon", "           ^^^^"]),
        ("@hourley", ["there is no descriptor", "    @hourley", "    ^^^^^^^^"]),
        ("TZ=Mars/Base @daily", ["no time zone 'Mars/Base'", "    TZ=Mars/Base @daily", "       ^^^^^^^^^"]),
        ("TZ=UTC 0 0 0 * * 8", ["day of week: 8", "    TZ=UTC 0 0 0 * * 8", "                     ^"]),
        ("", ["there is none", "    ", "    ^"]),
        ("0\t界 * * * *", ["minute: '界'", "    0␉界 * * * *", "      ^^"]),
    ],
)
def test_a_bad_schedule_is_shown_with_a_caret_under_the_fault(schedule: str, shown: list[str]) -> None:
    status, printed, told = run("next", schedule)
    assert (status, printed) == (2, "")
    fault, text, caret, *_ = (line.removeprefix("juvuln: ") for line in told.splitlines())
    assert shown[0] in fault
    assert [text, caret] == shown[1:]


def test_a_fault_in_a_field_says_what_may_stand_there() -> None:
    *_, last = run("next", "0 0 0 * foo *")[2].splitlines()
    assert last == "juvuln: a month is 1 to 12 or JAN to DEC, a range a-b, a list a,b, a step */n or a/n, or *"


@given(st.text(alphabet="0123456789*/-,?@TZ=every MON\x1b\n", max_size=30))
@settings(max_examples=100, deadline=None)
def test_whatever_is_given_is_due_or_refused_and_steers_no_terminal(schedule: str) -> None:
    status, printed, told = run("next", "--from", "2026-01-01", "--count", "1", "--", schedule)
    assert status in (0, 2)
    assert "\x1b" not in printed + told


@pytest.mark.parametrize(
    "arguments",
    [
        ["@daily", "--zone", "Mars/Base"],
        ["@daily", "--from", "tomorrow"],
        ["@daily", "--from", "9999-12-30", "--count", "5"],
        ["@daily", "--count", "0"],
    ],
)
def test_a_wrong_option_is_refused(arguments: list[str]) -> None:
    assert run("next", *arguments)[0] == 2


def test_it_works_without_any_configuration_or_server(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("juvuln")
    done = subprocess.run(
        [command, "next", "@daily", "--json"], cwd=tmp_path, env={}, capture_output=True, timeout=30, check=True
    )
    assert len(json.loads(done.stdout)) == 5

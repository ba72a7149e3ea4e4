"""What people read of programs, runs and their log lines."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from juvuln.commands.code import revision_before
from juvuln.commands.errors import UsageError
from juvuln.commands.faults import fault_text
from juvuln.commands.log_lines import ending_text, line_text
from juvuln.commands.next_due import NextDue, next_due
from juvuln.commands.run import parse_headers
from juvuln.commands.runs_table import format_ended, format_runs
from juvuln.commands.source_output import diff_colour
from juvuln.commands.terminal import Colour, Terminal

PIPE = Terminal()
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ROUTINE = {"type": "routine", "state": "active", "schedule": "TZ=Europe/Stockholm 0 0 6 * * *"}
SIGNED = [{"revision": 0, "signed": "2026-01-01T00:00:00Z"}]


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = os.environ.get("TZ")
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
    time.tzset()


def run(**fields: Any) -> dict[str, Any]:
    usual = {
        "id": "0199",
        "program_name": "tick",
        "revision": 3,
        "trigger": "schedule",
        "due": "2026-03-01T12:00:00Z",
        "claimed": "2026-03-01T12:00:00.010Z",
        "ended": "2026-03-01T12:00:00.345Z",
        "outcome": "succeeded",
        "reason": None,
        "duration_ms": 12.34,
        "worker": "w",
        "error": None,
        "log": [],
        "answer_status": None,
        "answer_bytes": None,
    }
    return {**usual, **fields}


FAILED = run(outcome="failed", error={"kind": "runtime", "message": "no\nsuch key", "stack": ["tick:2:1", "tick:9:1"]})


def test_a_run_is_a_line_with_notes_below() -> None:
    shown = format_runs([FAILED, run(outcome=None, duration_ms=None, worker=None)], PIPE, with_log=True)
    assert shown.splitlines() == [
        "WHEN                 PROGRAM  REV  TRIGGER   OUTCOME  TOOK     WORKER",
        "2026-03-01 12:00:00  tick     3    schedule  failed   12.3 ms  w",
        "    runtime: no␊such key",
        "        at tick:2:1",
        "        at tick:9:1",
        "2026-03-01 12:00:00  tick     3    schedule  running  -        -",
    ]


def test_no_runs_are_told_as_what_was_asked_for() -> None:
    assert format_runs([], PIPE, with_log=True) == "nothing has run yet\n"
    assert format_runs([], PIPE, with_log=True, nothing="none is so") == "none is so\n"


def test_a_run_that_was_waited_for_is_told_with_its_log_before_its_end() -> None:
    ended = run(log=[{"at_ms": 0, "level": "info", "message": "hello"}])
    assert format_ended(ended, PIPE) == "info: hello\ntick succeeded in 12.3 ms (revision 3, run 0199)\n"
    answered = {**ended, "log": [], "answer_status": 404, "answer_bytes": 1}
    assert format_ended(answered, PIPE) == (
        "tick succeeded in 12.3 ms, answered 404 with 1 byte (revision 3, run 0199)\n"
    )


def test_a_log_line_never_looks_like_two() -> None:
    line = {"at_ms": 1_772_366_400_005, "level": "info", "message": "a\n2026-03-01 error b\x1b"}
    assert line_text(line, PIPE) == "2026-03-01 12:00:00.005 info  a\n    2026-03-01 error b␛"


def test_only_what_did_not_succeed_has_an_ending_in_the_log() -> None:
    assert ending_text(run(), PIPE) is None
    assert ending_text(FAILED, PIPE) == (
        "2026-03-01 12:00:00.345 failed runtime: no\n    such key\n        at tick:2:1\n        at tick:9:1 (run 0199)"
    )
    assert ending_text(run(outcome="skipped", reason="no worker"), PIPE) == (
        "2026-03-01 12:00:00.345 skipped no worker (run 0199)"
    )


def test_a_fault_is_shown_with_its_line_and_a_caret_if_it_is_in_the_programs_own_code() -> None:
    code = b"a := 1\nb := +\n"
    assert fault_text("compile", "expected operand", ["p:2:7", "q:1:1"], "p", code) == (
        "p:2:7: compile error: expected operand\n    b := +\n          ^\n  imported at q:1:1"
    )
    assert fault_text("compile", "bad", ["other:2:7"], "p", code) == "other:2:7: compile error: bad"
    assert fault_text("memory", "too much", [], "p", code) == "p: memory error: too much"


def test_a_routine_is_due_in_its_own_zone() -> None:
    due = next_due(ROUTINE, SIGNED, [], NOW)
    assert [instant.isoformat() for instant in due.times] == [
        "2026-03-02T06:00:00+01:00",
        "2026-03-03T06:00:00+01:00",
        "2026-03-04T06:00:00+01:00",
    ]
    assert due.words


def test_every_counts_from_the_last_due_time_unless_that_is_long_ago() -> None:
    every = {**ROUTINE, "schedule": "@every 1h"}
    assert next_due(every, SIGNED, [run(due="2026-03-01T11:30:00Z")], NOW).times[0].isoformat() == (
        "2026-03-01T12:30:00+00:00"
    )
    assert next_due(every, SIGNED, [run(due="2026-02-01T11:30:00Z")], NOW).times[0].hour == 13


def test_what_does_not_run_by_schedule_is_never_due() -> None:
    assert next_due({**ROUTINE, "type": "webhook"}, SIGNED, [], NOW) == NextDue()
    assert next_due({**ROUTINE, "state": "inactive"}, SIGNED, [], NOW).times == ()
    assert next_due(ROUTINE, [{"revision": 0, "signed": None}], [], NOW).times == ()
    broken = next_due({**ROUTINE, "schedule": "0 0 99 * * *"}, SIGNED, [], NOW)
    assert broken.times == ()
    assert "99" in broken.words


@pytest.mark.parametrize(
    ("signed", "newer", "older"),
    [([0, 1, 2], 3, 2), ([0], 3, 0), ([], 3, 2), ([3], 3, 2), ([0, 3], 3, 0), ([], 0, 0)],
)
def test_a_revision_is_compared_with_what_ran_before_it(signed: list[int], newer: int, older: int) -> None:
    revisions = [{"revision": number, "signed": number in signed or None} for number in range(4)]
    assert revision_before(revisions, newer) == older


def test_headers_are_names_and_values() -> None:
    assert parse_headers(["X-A: 1", "b:2:3", "C:"]) == {"X-A": "1", "b": "2:3", "C": ""}
    for wrong in ("none", ": x", "a b: c", "x: a\r\nb: c", "Authorization: Basic x", "host: x", "é: x"):
        with pytest.raises(UsageError):
            parse_headers([wrong])


def test_a_differences_lines_have_colours() -> None:
    assert diff_colour("+++ b") is Colour.BOLD
    assert (diff_colour("+x"), diff_colour("-x"), diff_colour("@@ -1 +1 @@"), diff_colour(" x")) == (
        Colour.GREEN,
        Colour.RED,
        Colour.CYAN,
        None,
    )

"""Due times in order, and what is done about one that has come. Time is given; nothing sleeps."""

from datetime import UTC, timedelta

from juvuln.due import LONGEST_COUNTED_GAP, Decision, DueTimes, Gap, decide
from juvuln.programs import ProgramKey
from juvuln.schedule import parse_schedule
from tests.juvuln.support import UUID_1, UUID_2

ONE, TWO = ProgramKey("test", UUID_1), ProgramKey("test", UUID_2)
EVERY_5_S = parse_schedule("*/5 * * * * *", UTC)
START_DEADLINE = timedelta(seconds=30)
T0 = 1_700_000_000_000  # a multiple of 5 s


def test_what_is_due_comes_soonest_first_and_only_once() -> None:
    due = DueTimes()
    due.put(ONE, 200)
    due.put(TWO, 100)
    assert due.soonest_ms() == 100
    assert due.take_due(99) == []
    assert due.take_due(200) == [(TWO, 100), (ONE, 200)]
    assert due.take_due(1000) == []
    assert due.soonest_ms() is None


def test_a_due_time_that_was_replaced_or_removed_does_not_come() -> None:
    due = DueTimes()
    due.put(ONE, 100)
    due.put(ONE, 300)
    due.put(TWO, 100)
    due.remove(TWO)
    assert due.take_due(200) == []
    assert due.take_due(300) == [(ONE, 300)]


def test_the_same_due_time_put_twice_comes_once() -> None:
    due = DueTimes()
    due.put(ONE, 100)
    due.put(ONE, 100)
    assert due.take_due(100) == [(ONE, 100)]
    assert len(due) == 0


def test_a_due_time_that_has_come_runs_and_the_next_follows() -> None:
    assert decide(EVERY_5_S, T0, T0 + 3, START_DEADLINE) == Decision(T0, None, T0 + 5000)


def test_after_a_short_absence_only_the_last_due_time_runs_and_the_others_are_one_gap() -> None:
    decision = decide(EVERY_5_S, T0, T0 + 12_000, START_DEADLINE)
    assert decision == Decision(T0 + 10_000, Gap(T0, T0 + 5_000, 2), T0 + 15_000)


def test_what_is_too_late_to_start_is_missed() -> None:
    hourly = parse_schedule("@hourly", UTC)
    hour = T0 // 3_600_000 * 3_600_000
    assert decide(hourly, hour, hour + 29_000, START_DEADLINE).run_due_ms == hour
    late = decide(hourly, hour, hour + 31_000, START_DEADLINE)
    assert late == Decision(None, Gap(hour, hour, 1), hour + 3_600_000)
    assert late.missed is not None
    assert "not running, or too late" in late.missed.reason()


def test_a_very_long_gap_is_not_counted_to_its_end() -> None:
    year_later = T0 + 365 * 24 * 3_600_000
    decision = decide(EVERY_5_S, T0, year_later, START_DEADLINE)
    assert decision.run_due_ms is None
    assert decision.missed is not None
    assert not decision.missed.complete
    assert f"more than {LONGEST_COUNTED_GAP} due times" in decision.missed.reason()
    assert decision.next_due_ms is not None
    assert 0 < decision.next_due_ms - year_later <= 5000

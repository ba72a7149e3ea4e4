"""Due times in order, and what is done about one that has come. Time is given; nothing sleeps."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis.strategies import integers, sampled_from

from juvuln.clock import from_ms, to_ms
from juvuln.due import LONGEST_COUNTED_GAP, Decision, DueTimes, Gap, decide
from juvuln.programs import ProgramKey
from juvuln.schedule import Schedule, first_due, parse_schedule
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
    assert decision.run_due_ms == year_later
    assert decision.missed is not None
    assert decision.missed.last_due_ms == year_later - 5000
    assert not decision.missed.complete
    assert f"more than {LONGEST_COUNTED_GAP} due times" in decision.missed.reason()
    assert decision.next_due_ms is not None
    assert 0 < decision.next_due_ms - year_later <= 5000


def every_due_time(schedule: Schedule, first_ms: int, now_ms: int) -> list[int]:
    due: list[int] = []
    instant: datetime | None = from_ms(first_ms)
    while instant is not None and to_ms(instant) <= now_ms:
        due.append(to_ms(instant))
        instant = schedule.next_after(instant)
    return due


@given(
    schedule=sampled_from(["* * * * * *", "*/7 * * * * *", "0 */5 3 * * *", "5,6,50 0 * * * *", "@every 13s"]),
    start_ms=integers(T0, T0 + 86_400_000),
    late_ms=integers(0, 20_000_000),
)
def test_every_due_time_up_to_now_is_run_or_within_the_gap(schedule: str, start_ms: int, late_ms: int) -> None:
    parsed = parse_schedule(schedule, UTC)
    first_ms = to_ms(first_due(parsed, from_ms(start_ms)))
    now_ms = first_ms + late_ms
    decision = decide(parsed, first_ms, now_ms, START_DEADLINE)
    *missed, last = every_due_time(parsed, first_ms, now_ms)
    assert decision.run_due_ms == (last if now_ms - last <= 30_000 else None)
    if decision.run_due_ms is None:
        missed.append(last)
    if missed:
        assert decision.missed is not None
        assert (decision.missed.first_due_ms, decision.missed.last_due_ms) == (missed[0], missed[-1])
        assert decision.missed.count == min(len(missed), LONGEST_COUNTED_GAP + 1)
        assert decision.missed.complete == (len(missed) <= LONGEST_COUNTED_GAP)
    else:
        assert decision.missed is None
    upcoming = parsed.next_after(from_ms(last))
    assert decision.next_due_ms == (None if upcoming is None else to_ms(upcoming))

"""Due times in order, and what is done about one that has come. Time is given; nothing sleeps."""

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given, settings
from hypothesis.strategies import integers, sampled_from, uuids

from juvuln.clock import from_ms, to_ms
from juvuln.due import (
    LONGEST_COUNTED_GAP,
    LONGEST_SETBACK_MS,
    LONGEST_WAITED_SETBACK_MS,
    MOST_STALE,
    Decision,
    DueTimes,
    Gap,
    Lateness,
    after_setback,
    decide,
    give_up,
    resume,
)
from juvuln.policy import Missed, Policy
from juvuln.programs import ProgramKey
from juvuln.routine import Planning
from juvuln.schedule import Schedule, first_due, parse_schedule
from tests.juvuln.support import UUID_1, UUID_2, program

ONE, TWO = ProgramKey("test", UUID_1), ProgramKey("test", UUID_2)
EVERY_5_S = parse_schedule("*/5 * * * * *", UTC)
IN_30_S = Lateness(Missed.SKIP, 100, 30_000)
T0 = 1_700_000_000_000  # a multiple of 5 s


def test_what_is_due_comes_soonest_first_and_only_once() -> None:
    due = DueTimes()
    due.put(ONE, 200)
    due.put(TWO, 100)
    assert due.soonest_ms() == 100
    assert due.take_due(99, 10) == []
    assert due.take_due(200, 10) == [(TWO, 100), (ONE, 200)]
    assert due.take_due(1000, 10) == []
    assert due.soonest_ms() is None


def test_what_is_to_be_taken_ahead_comes_so_much_sooner_and_says_when_it_is_due() -> None:
    due = DueTimes()
    due.put(ONE, 1000, 400)
    due.put(TWO, 700)
    assert (due.soonest_ms(), due.get(ONE)) == (600, 1000)
    assert due.upcoming(2) == [(TWO, 700), (ONE, 1000)]
    assert due.take_due(600, 10) == [(ONE, 1000)]
    due.put(ONE, 1000)
    assert due.take_due(999, 10) == [(TWO, 700)]
    assert due.take_due(1000, 10) == [(ONE, 1000)]


def test_no_more_is_taken_at_once_than_is_asked_for() -> None:
    due = DueTimes()
    due.put(ONE, 100)
    due.put(TWO, 200)
    assert due.take_due(300, 1) == [(ONE, 100)]
    assert due.take_due(300, 1) == [(TWO, 200)]


def test_a_due_time_that_was_replaced_or_removed_does_not_come() -> None:
    due = DueTimes()
    due.put(ONE, 100)
    due.put(ONE, 300)
    due.put(TWO, 100)
    due.remove(TWO)
    assert due.take_due(200, 10) == []
    assert due.take_due(300, 10) == [(ONE, 300)]


def test_the_same_due_time_put_twice_comes_once() -> None:
    due = DueTimes()
    due.put(ONE, 100)
    due.put(ONE, 100)
    assert due.take_due(100, 10) == [(ONE, 100)]
    assert len(due) == 0


def test_due_times_that_are_set_again_and_again_do_not_add_up() -> None:
    due = DueTimes()
    other, often = ProgramKey("test", UUID(int=1)), ProgramKey("test", UUID(int=2))
    due.put(other, 7)
    for number in range(3 * MOST_STALE):
        due.put(often, 5 + number % 3)
    assert len(due._heap) < 2 * MOST_STALE
    assert due.take_due(7, 10) == [(other, 7), (often, 5 + (3 * MOST_STALE - 1) % 3)]


def test_a_due_time_that_has_come_runs_and_the_next_follows() -> None:
    assert decide(EVERY_5_S, T0, T0 + 3, IN_30_S) == Decision((T0,), None, T0 + 5000)


def test_after_a_short_absence_only_the_last_due_time_runs_and_the_others_are_one_gap() -> None:
    decision = decide(EVERY_5_S, T0, T0 + 12_000, IN_30_S)
    assert decision == Decision((T0 + 10_000,), Gap(T0, T0 + 5_000, 2), T0 + 15_000)


def test_what_is_too_late_to_start_is_missed() -> None:
    hourly = parse_schedule("@hourly", UTC)
    hour = T0 // 3_600_000 * 3_600_000
    assert decide(hourly, hour, hour + 29_000, IN_30_S).run_due_ms == (hour,)
    late = decide(hourly, hour, hour + 31_000, IN_30_S)
    assert late == Decision((), Gap(hour, hour, 1), hour + 3_600_000)
    assert late.given_up is not None
    assert late.given_up.reason("too late") == "too late"


def test_a_very_long_gap_is_not_counted_to_its_end() -> None:
    year_later = T0 + 365 * 24 * 3_600_000
    decision = decide(EVERY_5_S, T0, year_later, IN_30_S)
    assert decision.run_due_ms == (year_later,)
    assert decision.given_up is not None
    assert decision.given_up.last_due_ms == year_later - 5000
    assert not decision.given_up.complete
    assert f"more than {LONGEST_COUNTED_GAP} due times" in decision.given_up.reason("too late")
    assert decision.next_due_ms is not None
    assert 0 < decision.next_due_ms - year_later <= 5000


def every_due_time(schedule: Schedule, first_ms: int, now_ms: int) -> list[int]:
    due: list[int] = []
    instant: datetime | None = from_ms(first_ms)
    while instant is not None and to_ms(instant) <= now_ms:
        due.append(to_ms(instant))
        instant = schedule.next_after(instant)
    return due


@settings(deadline=None)
@given(
    schedule=sampled_from(["* * * * * *", "*/7 * * * * *", "0 */5 3 * * *", "5,6,50 0 * * * *", "@every 13s"]),
    start_ms=integers(T0, T0 + 86_400_000),
    late_ms=integers(0, 20_000_000),
)
def test_every_due_time_up_to_now_is_run_or_within_the_gap(schedule: str, start_ms: int, late_ms: int) -> None:
    parsed = parse_schedule(schedule, UTC)
    first_ms = to_ms(first_due(parsed, from_ms(start_ms)))
    now_ms = first_ms + late_ms
    decision = decide(parsed, first_ms, now_ms, IN_30_S)
    *missed, last = every_due_time(parsed, first_ms, now_ms)
    assert decision.run_due_ms == ((last,) if now_ms - last <= 30_000 else ())
    if not decision.run_due_ms:
        missed.append(last)
    if missed:
        assert decision.given_up is not None
        assert (decision.given_up.first_due_ms, decision.given_up.last_due_ms) == (missed[0], missed[-1])
        assert decision.given_up.count == min(len(missed), LONGEST_COUNTED_GAP + 1)
        assert decision.given_up.complete == (len(missed) <= LONGEST_COUNTED_GAP + 1)
    else:
        assert decision.given_up is None
    upcoming = parsed.next_after(from_ms(last))
    assert decision.next_due_ms == (None if upcoming is None else to_ms(upcoming))


@settings(deadline=None)
@given(
    schedule=sampled_from(["*/10 * * * * *", "@every 10s", "30 * * * * *", "@every 1m"]),
    start_ms=integers(T0, T0 + 86_400_000),
    setback_ms=integers(LONGEST_WAITED_SETBACK_MS + 1001, 3 * LONGEST_SETBACK_MS),
)
def test_a_schedule_of_elapsed_time_goes_on_at_once_when_the_clock_is_set_back(
    schedule: str, start_ms: int, setback_ms: int
) -> None:
    parsed = parse_schedule(schedule, UTC)
    due_ms = to_ms(first_due(parsed, from_ms(start_ms)))
    now_ms = start_ms - setback_ms
    for again_ms in (
        after_setback(parsed, due_ms, setback_ms, now_ms),
        resume(parsed, start_ms // 1000 * 1000, now_ms),
    ):
        assert now_ms < again_ms <= now_ms + 61_001
        # It cannot be mistaken for a due time that is on record.
        assert again_ms % 1000 == 1


def test_a_schedule_of_fixed_hours_repeats_nothing_unless_the_clock_was_wrong_by_more_than_a_day() -> None:
    noon = parse_schedule("0 0 12 * * *", UTC)
    day_ms = 24 * 3_600_000
    today_ms = T0 // day_ms * day_ms + day_ms // 2
    assert after_setback(noon, today_ms + day_ms, 3_600_000, today_ms - 1000) == today_ms + day_ms
    assert resume(noon, today_ms, today_ms - 3_600_000) == today_ms + day_ms
    assert after_setback(noon, today_ms + 3 * day_ms, 2 * day_ms, today_ms - 1000) == today_ms + 1


def test_a_short_setback_is_waited_out() -> None:
    assert after_setback(EVERY_5_S, T0 + 5000, LONGEST_WAITED_SETBACK_MS, T0 - 60_000) == T0 + 5000


def test_missed_due_times_are_all_run_up_to_the_limit_the_latest_of_them_oldest_first() -> None:
    hourly, hour = parse_schedule("@hourly", UTC), T0 // 3_600_000 * 3_600_000
    hours = [hour + number * 3_600_000 for number in range(6)]
    decision = decide(hourly, hour, hours[5] + 1000, Lateness(Missed.ALL, 2, 30_000))
    assert decision == Decision((hours[4], hours[5]), Gap(hours[0], hours[3], 4), hours[5] + 3_600_000)


def test_of_missed_due_times_the_last_is_run_once_however_old() -> None:
    hourly, hour = parse_schedule("@hourly", UTC), T0 // 3_600_000 * 3_600_000
    decision = decide(hourly, hour, hour + 2 * 3_600_000 - 1, Lateness(Missed.ONCE, 100, 30_000))
    assert decision == Decision((hour + 3_600_000,), Gap(hour, hour, 1), hour + 2 * 3_600_000)


@settings(deadline=None)
@given(
    schedule=sampled_from(["* * * * * *", "*/7 * * * * *", "0 */5 3 * * *", "5,6,50 0 * * * *", "@every 13s"]),
    start_ms=integers(T0, T0 + 86_400_000),
    late_ms=integers(0, 5_000_000),
    limit=integers(1, 20),
)
def test_where_all_are_run_each_due_time_is_run_or_within_the_gap(
    schedule: str, start_ms: int, late_ms: int, limit: int
) -> None:
    parsed = parse_schedule(schedule, UTC)
    first_ms = to_ms(first_due(parsed, from_ms(start_ms)))
    decision = decide(parsed, first_ms, first_ms + late_ms, Lateness(Missed.ALL, limit, 30_000))
    due = every_due_time(parsed, first_ms, first_ms + late_ms)
    assert list(decision.run_due_ms) == due[-limit:]
    gap = due[:-limit]
    given_up = decision.given_up
    assert (given_up and (given_up.first_due_ms, given_up.last_due_ms)) == ((gap[0], gap[-1]) if gap else None)


def test_due_times_of_a_pause_are_given_up_together() -> None:
    assert give_up(EVERY_5_S, T0, T0 + 12_000) == Decision((), Gap(T0, T0 + 10_000, 3), T0 + 15_000)


@settings(deadline=None)
@given(uuids(), integers(T0, T0 + 86_400_000), integers(1, 100_000))
def test_a_spread_every_begins_within_its_first_period(uuid: UUID, now_ms: int, period: int) -> None:
    planning = Planning(UTC, {}, Policy(), spread_every=True)
    routine = planning.routine(program(uuid, schedule=f"@every {period}s"))
    due_ms = planning.first_due_ms(routine, None, now_ms)
    assert now_ms // 1000 * 1000 < due_ms <= now_ms + period * 1000
    again_ms = planning.first_due_ms(routine, None, due_ms)
    assert again_ms - due_ms == period * 1000

"""The judge of the chaos finds what is wrong, each fault in a history that is otherwise well, and nothing else."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.checker import judge
from tests.chaos.evidence import ClockSetting, Effect, Evidence, KnownRoutine, Life, Pause, Record, Rules
from tests.chaos.violations import Kind

T0 = 1_700_000_000_000  # a multiple of 10 s
CRON = KnownRoutine("cron", "*/10 * * * * *", 1000, known_after_ms=T0 - 500, known_by_ms=T0 + 500)
EVERY = KnownRoutine("every", "@every 10s", 1000, known_after_ms=T0 - 500, known_by_ms=T0 + 1500)
STEADY = (ClockSetting(T0 - 10_000, 0),)


def record(
    seconds: int, outcome: str | None = "succeeded", *, first: int | None = None, program: str = "cron"
) -> Record:
    """A record that is due so many seconds after T0."""
    due_ms, ended = T0 + seconds * 1000, outcome is not None
    return Record(
        id=f"{program}+{seconds}",
        program=program,
        due_ms=due_ms,
        first_due_ms=None if first is None else T0 + first * 1000,
        claimed_ms=due_ms + 5,
        ended_ms=due_ms + 50 if ended else None,
        outcome=outcome,
        marks=frozenset({f"{program}+{seconds}"} if outcome in ("succeeded", "failed") else ()),
    )


def effect(seconds: int, *, after_ms: int = 20, program: str = "cron", mark: str | None = None) -> Effect:
    return Effect(T0 + seconds * 1000 + after_ms, program, mark or f"{program}+{seconds}")


RECORDS = (
    record(10),
    record(20, "failed"),
    record(50, "missed", first=30),
    record(60, "lost"),
    record(70, "skipped"),
    record(80, "crashed"),
    record(11, program="every"),
    record(31, "missed", first=21, program="every"),
    record(71, "missed", first=41, program="every"),
)
EFFECTS = (effect(10), effect(20), effect(60), effect(11, program="every"))
CLEAN = Evidence([CRON, EVERY], RECORDS, EFFECTS, STEADY, due_by_ms=T0 + 80_000)


def kinds(evidence: Evidence) -> list[Kind]:
    return [violation.kind for violation in judge(evidence).violations]


def with_record(changed: Record) -> Evidence:
    """The clean history, but for one record."""
    return replace(CLEAN, records=[changed if each.id == changed.id else each for each in RECORDS])


def without(records: Sequence[Record], *ids: str) -> list[Record]:
    return [each for each in records if each.id not in ids]


def test_a_clean_history_has_no_violation_and_all_its_due_times_are_counted() -> None:
    verdict = judge(CLEAN)
    assert verdict.violations == []
    assert verdict.due_times == 8 + 7


FORGED = {
    "a due time without a record": (
        replace(CLEAN, records=without(RECORDS, "cron+70")),
        [Kind.UNRECORDED],
    ),
    "a due time that a gap leaves out": (
        with_record(record(50, "missed", first=40)),
        [Kind.UNRECORDED],
    ),
    "a routine without any record": (
        replace(CLEAN, routines=[CRON, EVERY, replace(CRON, name="never", known_by_ms=T0 + 75_000)]),
        [Kind.UNRECORDED],
    ),
    "a routine of a period without any record": (
        replace(CLEAN, routines=[CRON, EVERY, replace(EVERY, name="never", known_by_ms=T0 + 65_000)]),
        [Kind.UNRECORDED],
    ),
    "two records of one due time": (
        replace(CLEAN, records=[*RECORDS, replace(record(70, "skipped"), id="other")]),
        [Kind.RECORDED_TWICE],
    ),
    "a record within a gap": (
        replace(CLEAN, records=[*RECORDS, record(40, "lost")]),
        [Kind.RECORDED_TWICE],
    ),
    "gaps that overlap": (
        replace(CLEAN, records=[*RECORDS, record(40, "missed", first=30)]),
        [Kind.RECORDED_TWICE, Kind.RECORDED_TWICE],
    ),
    "a record between due times": (
        replace(CLEAN, records=[*RECORDS, record(75, "lost")]),
        [Kind.NOT_DUE],
    ),
    "a record for before the routine was known": (
        replace(CLEAN, records=[*RECORDS, record(-10, "lost")]),
        [Kind.NOT_DUE],
    ),
    "a gap that begins between due times": (
        with_record(record(50, "missed", first=31)),
        [Kind.NOT_DUE, Kind.UNRECORDED, Kind.UNRECORDED, Kind.UNRECORDED],
    ),
    "a record by schedule without a due time": (
        replace(CLEAN, records=[*RECORDS, replace(record(80, "lost"), id="x", due_ms=None)]),
        [Kind.NOT_DUE],
    ),
    "a record of a routine that there is not": (
        replace(CLEAN, records=[*RECORDS, record(10, "lost", program="nobody")]),
        [Kind.NOT_DUE],
    ),
    "a period that begins anew": (
        replace(
            CLEAN,
            records=[*without(RECORDS, "every+71"), replace(record(72, "missed", first=42, program="every"), id="e")],
        ),
        [Kind.NOT_DUE, *[Kind.UNRECORDED] * 4],
    ),
    "a period that does not begin with the routine": (
        replace(CLEAN, routines=[CRON, replace(EVERY, known_after_ms=T0 - 6000, known_by_ms=T0 - 5000)]),
        [Kind.NOT_DUE],
    ),
    "a record made too early": (
        with_record(replace(record(70, "skipped"), claimed_ms=T0 + 68_999)),
        [Kind.EARLY],
    ),
    "a run that begins before it is due": (
        replace(
            with_record(replace(record(10), claimed_ms=T0 + 9_100)),
            effects=[effect(10, after_ms=-300), *EFFECTS[1:]],
        ),
        [Kind.EARLY],
    ),
    "a record that is open": (
        with_record(record(70, None)),
        [Kind.OPEN],
    ),
    "an outcome that there is not": (
        with_record(record(70, "vanished")),
        [Kind.STRANGE_OUTCOME],
    ),
    "an effect of a skipped run": (
        replace(CLEAN, effects=[*EFFECTS, effect(70)]),
        [Kind.UNADMITTED],
    ),
    "an effect of a missed run that says so itself": (
        replace(
            with_record(replace(record(50, "missed", first=30), marks=frozenset({"m"}))),
            effects=[*EFFECTS, effect(50, mark="m")],
        ),
        [Kind.UNADMITTED],
    ),
    "an effect long after the run that was lost": (
        replace(CLEAN, effects=[effect(10), effect(20), effect(11, program="every"), effect(60, after_ms=60_000)]),
        [Kind.UNADMITTED],
    ),
    "an effect before the run that was lost": (
        replace(CLEAN, effects=[effect(10), effect(20), effect(11, program="every"), effect(60, after_ms=-900)]),
        [Kind.UNADMITTED],
    ),
    "two effects and one run that was lost": (
        replace(CLEAN, effects=[*EFFECTS, effect(60, mark="again")]),
        [Kind.UNADMITTED],
    ),
    "an effect of a program that there is not": (
        replace(CLEAN, effects=[*EFFECTS, effect(10, program="nobody")]),
        [Kind.UNADMITTED],
    ),
    "an effect of another program's lost run": (
        replace(CLEAN, effects=[effect(10), effect(20), effect(11, program="every"), effect(60, program="every")]),
        [Kind.UNADMITTED],
    ),
    "a success without an effect": (
        replace(CLEAN, effects=EFFECTS[1:]),
        [Kind.WITHOUT_EFFECT],
    ),
    "a success that does not say which effect was its own": (
        with_record(replace(record(10), marks=frozenset())),
        [Kind.WITHOUT_EFFECT, Kind.UNADMITTED],
    ),
    "one effect twice": (
        replace(CLEAN, effects=[*EFFECTS, effect(10, after_ms=30)]),
        [Kind.EFFECT_TWICE],
    ),
    "one record with two effects": (
        replace(
            with_record(replace(record(10), marks=frozenset({"cron+10", "m"}))),
            effects=[*EFFECTS, effect(10, mark="m")],
        ),
        [Kind.EFFECT_TWICE],
    ),
    "an executor that is left": (
        replace(CLEAN, still_running=["executor 12"]),
        [Kind.STILL_RUNNING],
    ),
}  # fmt: skip


PAUSE = Pause(frozenset({"cron"}), in_force_ms=T0 + 15_000, lifted_ms=T0 + 75_000)


def of_rules(rules: Rules, *changed: Record, **facts: Any) -> Evidence:
    """The clean history where the cron routine has other rules, and some of its records are others."""
    by_id = {each.id: each for each in changed}
    records = [by_id.get(each.id, each) for each in RECORDS]
    return replace(CLEAN, routines=[replace(CRON, rules=rules), EVERY], records=records, **facts)


def effects_with(*more: Effect) -> list[Effect]:
    return [*EFFECTS, *more]


def started(seconds: int) -> Life:
    """The manager, so long after T0."""
    return Life(T0 + seconds * 1000, T0 + seconds * 1000 + 500)


BEAT_PAST_THE_NEXT = [effect(10, after_ms=10_400)]
TWICE = replace(record(20, "failed"), attempts=2, reason="attempt 2 of 2; attempt 1: failed: oh no")
AFTER_LOST = replace(TWICE, reason="attempt 2 of 2; attempt 1: lost: silence")
LATE = replace(record(10), started_ms=T0 + 15_000)
FAILED = [record(seconds, "failed") for seconds in (10, 20, 60, 70, 80)]
FAILED_EFFECTS = [effect(seconds) for seconds in (10, 20, 60, 70, 80)] + [effect(11, program="every")]

BROKEN_PROMISES = {
    "a run that goes on while the next one begins": (
        of_rules(Rules(), beats=BEAT_PAST_THE_NEXT),
        [Kind.TWO_AT_ONCE],
    ),
    "a run that goes on beside the next but one": (
        of_rules(Rules(), beats=[effect(10, after_ms=50_400)]),
        [Kind.TWO_AT_ONCE, Kind.TWO_AT_ONCE],
    ),
    "a run that was started too late": (
        of_rules(Rules(start_within_ms=3000), LATE),
        [Kind.LATE],
    ),
    "a run that was repeated though it was not to be": (
        of_rules(Rules(), TWICE, effects=effects_with(effect(20, mark="again"))),
        [Kind.TOO_OFTEN],
    ),
    "a run that was repeated after it was lost": (
        of_rules(Rules(tries=2), AFTER_LOST, effects=effects_with(effect(20, mark="again"))),
        [Kind.TOO_OFTEN],
    ),
    "more effects than a run was started": (
        of_rules(Rules(tries=3), TWICE, replace(record(10), attempts=1),
                 effects=effects_with(effect(20, mark="1"), effect(20, mark="2"))),
        [Kind.UNADMITTED],
    ),
    "a gap without a run": (
        of_rules(Rules(made_up=1)),
        [Kind.NOT_MADE_UP],
    ),
    "a gap with too few runs": (
        of_rules(Rules(made_up=2), replace(record(60, "lost"), claimed_ms=T0 + 60_100),
                 replace(record(50, "missed", first=30), claimed_ms=T0 + 60_100)),
        [Kind.NOT_MADE_UP],
    ),
    "a run that was claimed during a pause": (
        of_rules(Rules(), record(60, "skipped"), record(50, "skipped", first=30), record(20), pauses=[PAUSE],
                 effects=[effect(10), effect(20), effect(11, program="every")]),
        [Kind.RAN_PAUSED, Kind.PAUSE_NOT_SKIPPED],
    ),
    "a run during a pause that nobody heard of": (
        of_rules(Rules(), record(50, "skipped", first=30), record(20, "skipped"), pauses=[PAUSE],
                 effects=[effect(10), effect(60), effect(11, program="every")]),
        [Kind.RAN_PAUSED, Kind.PAUSE_NOT_SKIPPED],
    ),
    "a gap that was missed during a pause": (
        of_rules(Rules(), record(60, "skipped"), record(20, "skipped"), pauses=[PAUSE],
                 effects=[effect(10), effect(11, program="every")]),
        [Kind.PAUSE_NOT_SKIPPED] * 3,
    ),
    "a program that ran on": (
        of_rules(Rules(failures=4), *FAILED, effects=FAILED_EFFECTS),
        [Kind.RAN_ON],
    ),
    "a program that was given up early": (
        of_rules(Rules(failures=6), *FAILED, effects=FAILED_EFFECTS, set_to_failed=frozenset({"cron"})),
        [Kind.GIVEN_UP_EARLY],
    ),
}  # fmt: skip
FORGED |= BROKEN_PROMISES

KEPT_PROMISES = {
    "runs may be under way together where that is allowed": of_rules(Rules(alone=False), beats=BEAT_PAST_THE_NEXT),
    "nobody knows when a run ended that was lost": of_rules(
        Rules(), record(60, "lost"), record(70), effects=effects_with(effect(70)),
        beats=[effect(60, after_ms=10_400)],
    ),
    "a run that timed out may need a moment to be ended": of_rules(
        Rules(), replace(record(20, "failed"), outcome="timed_out"), beats=[effect(20, after_ms=40_400)]
    ),
    "a run may be claimed ahead, and begins when it is due": of_rules(
        Rules(), replace(record(10), claimed_ms=T0 + 9_000)
    ),
    "an effect may be overtaken by that of the next run": of_rules(
        Rules(), effects=[effect(10, after_ms=10_100), *EFFECTS[1:]], beats=[effect(20, after_ms=600)],
    ),
    "a sign of life may be noted a little late": of_rules(Rules(), beats=[effect(10, after_ms=10_100)]),
    "a run starts within its start deadline": of_rules(Rules(start_within_ms=5000), LATE),
    "a run that was claimed late has its time from then on": of_rules(
        Rules(start_within_ms=3000), replace(LATE, claimed_ms=T0 + 14_900), effects=EFFECTS
    ),
    "each attempt has its effect": of_rules(
        Rules(tries=2), TWICE, effects=effects_with(effect(20, mark="again"))
    ),
    "a run is repeated after it was lost where that is asked for": of_rules(
        Rules(tries=2, repeats_lost=True), AFTER_LOST, effects=effects_with(effect(20, mark="again"))
    ),
    "the last of a gap was run": of_rules(
        Rules(made_up=1), replace(record(60, "lost"), claimed_ms=T0 + 60_100),
        replace(record(50, "missed", first=30), claimed_ms=T0 + 60_100),
    ),
    "all of a pause is skipped, and what was claimed before goes on": of_rules(
        Rules(), record(20), record(60, "skipped"), record(50, "skipped", first=30),
        effects=[effect(10), effect(20), effect(11, program="every")],
        pauses=[replace(PAUSE, in_force_ms=T0 + 20_010)],
    ),
    "a manager that was away when a pause ended knows nothing of it": of_rules(
        Rules(), record(20, "skipped"), record(60, "skipped"), effects=[effect(10), effect(11, program="every")],
        pauses=[replace(PAUSE, lifted_ms=T0 + 48_000)], manager_lives=[started(49)],
    ),
    "a clock that was set past a due time did not show it during a pause": of_rules(
        Rules(), record(20, "skipped"), record(60, "skipped"), effects=[effect(10), effect(11, program="every")],
        pauses=[replace(PAUSE, lifted_ms=T0 + 45_000)], clock=[*STEADY, ClockSetting(T0 + 25_000, offset_ms=30_000)],
    ),
    "what was claimed ahead of a pause goes on, though the clock was set back and its time came late": of_rules(
        Rules(), replace(record(20), claimed_ms=T0 + 19_000), record(60, "skipped"), record(50, "skipped", first=30),
        effects=[effect(10), effect(22, mark="cron+20"), effect(11, program="every")],
        pauses=[replace(PAUSE, in_force_ms=T0 + 19_050)], clock=[*STEADY, ClockSetting(T0 + 19_500, offset_ms=-2_000)],
    ),
    "a program whose state could not be set runs on": of_rules(
        Rules(failures=4), *FAILED[:3], replace(FAILED[3], reason="its state could not be set to failed"), FAILED[4],
        effects=FAILED_EFFECTS,
    ),
    "what is due when a program was given up need not be on record": replace(
        of_rules(Rules(failures=5), *FAILED, effects=FAILED_EFFECTS, set_to_failed=frozenset({"cron"})),
        due_by_ms=T0 + 80_000 + 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT_PROMISES)
def test_a_history_that_keeps_its_promises_is_clean(name: str) -> None:
    assert judge(KEPT_PROMISES[name]).violations == []


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_history_is_found_out(name: str) -> None:
    forged, expected = FORGED[name]
    assert kinds(forged) == expected, judge(forged).violations


def test_every_kind_of_violation_was_forged() -> None:
    assert {kind for _, expected in FORGED.values() for kind in expected} == set(Kind)


def test_what_is_due_at_the_very_end_may_be_on_record_or_not() -> None:
    assert kinds(replace(CLEAN, due_by_ms=T0 + 79_999)) == []
    assert kinds(replace(CLEAN, records=without(RECORDS, "cron+80"), due_by_ms=T0 + 79_999)) == []


def test_what_is_due_while_the_manager_comes_to_know_it_may_be_on_record_or_not() -> None:
    assert kinds(replace(CLEAN, records=[*RECORDS, record(0, "lost")])) == []


def test_an_effect_is_looked_for_when_the_manager_clock_showed_the_time_of_its_record() -> None:
    # What the manager calls 60 s after T0 is 120 s after it.
    clock = [*STEADY, ClockSetting(T0 + 55_000, offset_ms=-60_000)]
    moved = replace(CLEAN, effects=[effect(10), effect(20), effect(11, program="every"), effect(120, mark="late")])
    assert kinds(replace(moved, clock=clock)) == []
    assert kinds(moved) == [Kind.UNADMITTED]

"""The judge of the chaos finds what is wrong, each fault in a history that is otherwise well, and nothing else."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.chaos.checker import Kind, judge
from tests.chaos.evidence import ClockSetting, Effect, Evidence, KnownRoutine, Record

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
        with_record(replace(record(70, "skipped"), claimed_ms=T0 + 69_999)),
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

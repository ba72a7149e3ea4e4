"""The part of the judge that holds what happened against what the policies of a routine promise.

Where a run was lost, nobody knows for how long it went on, so none of these promises holds for it.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from tests.chaos.evidence import AHEAD_MS, Effect, Evidence, KnownRoutine, Pause, Record
from tests.chaos.machine_time import CLOCK_TOLERANCE_MS, machine_times, times_shown
from tests.chaos.violations import Kind, Violation

FAILURES = frozenset({"failed", "timed_out", "crashed"})
IN_FLIGHT_MS = 250
"""Between sending a sign of life and its being noted, compared with another."""
UNHEARD_MS = 5_000
"""How much later than its deadline a run that nobody heard of may show: a frozen worker."""
FIRST_LOOK_MS = 10_000
"""From when the manager listens until it has read its domains and looked at what is due."""
AFTER_LOST = re.compile(r"attempt \d+: lost")
NOT_SET = "not be set to failed"


def judge_policies(
    routine: KnownRoutine,
    records: Sequence[Record],
    effects: Sequence[Effect],
    beats: Sequence[Effect],
    required: Sequence[int],
    evidence: Evidence,
) -> Iterator[Violation]:
    """``required``: the due times that must be on record."""
    of_marks = {mark: record for record in records for mark in record.marks}
    if routine.rules.alone:
        yield from _judge_alone(routine, effects, beats, of_marks)
    yield from _judge_starts(routine, records)
    yield from _judge_made_up(routine, records)
    for pause in evidence.pauses:
        if routine.name in pause.programs:
            yield from _judge_pause(routine, pause, effects, of_marks, evidence)
            yield from _judge_skipped(routine, pause, records, required, evidence)
    if routine.rules.failures:
        yield from _judge_failures(routine, records, evidence)


def _judge_alone(
    routine: KnownRoutine, effects: Sequence[Effect], beats: Sequence[Effect], of_marks: Mapping[str, Record]
) -> Iterator[Violation]:
    """No run shows itself while an earlier one, whose end is known, still gives signs of life.

    A run is answered at its deadline, whether its program has stopped or not.
    """
    last_sign = {effect.mark: effect.at_ms for effect in sorted(chain(effects, beats), key=lambda each: each.at_ms)}
    latest: tuple[int, str] | None = None
    for effect in sorted(effects, key=lambda each: each.at_ms):
        if latest is not None and latest[0] > effect.at_ms + IN_FLIGHT_MS:
            if _was_overtaken(effect, latest[1], effects, of_marks):
                continue
            what = f"{routine.name}: mark {effect.mark} at {effect.at_ms}, and mark {latest[1]} until {latest[0]}"
            yield Violation(Kind.TWO_AT_ONCE, what)
        record = of_marks.get(effect.mark)
        if record is not None and record.outcome not in ("lost", "timed_out"):
            sign = last_sign[effect.mark], effect.mark
            latest = sign if latest is None else max(latest, sign)


def _was_overtaken(effect: Effect, other: str, effects: Sequence[Effect], of_marks: Mapping[str, Record]) -> bool:
    """Whether an effect is of a run that came before the ``other``, and was only noted after it."""
    before, after = of_marks.get(effect.mark), of_marks.get(other)
    if before is None or after is None or (before.due_ms or 0) >= (after.due_ms or 0):
        return False
    noted_ms = min(each.at_ms for each in effects if each.mark == other)
    return effect.at_ms - noted_ms <= IN_FLIGHT_MS


def _judge_starts(routine: KnownRoutine, records: Sequence[Record]) -> Iterator[Violation]:
    """How late they were, and how many."""
    rules = routine.rules
    for record in records:
        if record.attempts is not None and record.attempts > rules.tries:
            yield Violation(Kind.TOO_OFTEN, f"{routine.name}: record {record.id}, {record.attempts} times")
        if AFTER_LOST.search(record.reason) and not rules.repeats_lost:
            yield Violation(Kind.TOO_OFTEN, f"{routine.name}: record {record.id}: {record.reason}")
        if rules.start_within_ms is None or record.started_ms is None or (record.attempts or 1) > 1:
            continue
        # It may wait at its worker until its deadline.
        latest_ms = max(record.due_ms or 0, record.claimed_ms) + rules.start_within_ms + routine.deadline_ms
        if record.started_ms > latest_ms + CLOCK_TOLERANCE_MS:
            what = f"{routine.name}: record {record.id}, due {record.due_ms}, was started at {record.started_ms}"
            yield Violation(Kind.LATE, what)


def _judge_made_up(routine: KnownRoutine, records: Sequence[Record]) -> Iterator[Violation]:
    """What is given up together is claimed together with what is run instead."""
    if not routine.rules.made_up:
        return
    run = Counter(record.claimed_ms for record in records if record.first_due_ms is None)
    for record in records:
        if record.outcome == "missed" and record.first_due_ms is not None:
            instead = run[record.claimed_ms]
            if instead < routine.rules.made_up:
                yield Violation(Kind.NOT_MADE_UP, f"{routine.name}: record {record.id}, and {instead} runs")


def _judge_pause(
    routine: KnownRoutine,
    pause: Pause,
    effects: Sequence[Effect],
    of_marks: Mapping[str, Record],
    evidence: Evidence,
) -> Iterator[Violation]:
    """What was claimed before goes on, and nothing else."""
    for effect in effects:
        if not pause.in_force_ms < effect.at_ms <= pause.lifted_ms:
            continue
        record = of_marks.get(effect.mark)
        if record is None:
            begun = effect.at_ms - pause.in_force_ms > routine.deadline_ms + UNHEARD_MS
        else:
            claimed = machine_times(record.claimed_ms, evidence.clock)
            begun = min(claimed) > pause.in_force_ms + CLOCK_TOLERANCE_MS
        if begun:
            yield Violation(Kind.RAN_PAUSED, f"{routine.name}: mark {effect.mark} at {effect.at_ms}")


def _judge_skipped(
    routine: KnownRoutine, pause: Pause, records: Sequence[Record], required: Sequence[int], evidence: Evidence
) -> Iterator[Violation]:
    for record in records:
        if record.outcome == "skipped" or record.due_ms is None:
            continue
        if _was_claimed_before(record, pause, evidence) or _did_not_see(record, pause, evidence):
            continue
        first_ms = record.due_ms if record.first_due_ms is None else record.first_due_ms
        for due_ms in required:
            if first_ms <= due_ms <= record.due_ms and _falls_into(pause, due_ms, evidence):
                what = f"{routine.name}: {due_ms} is {record.outcome} in record {record.id}"
                yield Violation(Kind.PAUSE_NOT_SKIPPED, what)


def _falls_into(pause: Pause, due_ms: int, evidence: Evidence) -> bool:
    times = times_shown(due_ms, evidence.clock)
    return (
        bool(times)
        and pause.in_force_ms + AHEAD_MS + CLOCK_TOLERANCE_MS < min(times)  # what is claimed by then goes on
        and max(times) < pause.lifted_ms - CLOCK_TOLERANCE_MS
    )


def _was_claimed_before(record: Record, pause: Pause, evidence: Evidence) -> bool:
    """Ahead of its due time, which may come much later where the clock was set back meanwhile."""
    return min(machine_times(record.claimed_ms, evidence.clock)) <= pause.in_force_ms + CLOCK_TOLERANCE_MS


def _did_not_see(record: Record, pause: Pause, evidence: Evidence) -> bool:
    """Whether the manager was started again before this record was made, and the pause was over before it had looked:
    then it knows nothing of it."""
    claimed_ms = max(machine_times(record.claimed_ms, evidence.clock))
    looked_from_ms = pause.lifted_ms - FIRST_LOOK_MS
    return any(life.began_ms <= claimed_ms and looked_from_ms <= life.listened_ms for life in evidence.manager_lives)


def _judge_failures(routine: KnownRoutine, records: Sequence[Record], evidence: Evidence) -> Iterator[Violation]:
    """What was lost counts neither as a failure nor as a success."""
    limit, in_a_row, unknown = routine.rules.failures, 0, 0
    for record in sorted(records, key=lambda each: (each.claimed_ms, each.due_ms or 0)):
        if record.outcome == "succeeded":
            in_a_row = unknown = 0
        elif record.outcome == "lost" or (record.outcome in FAILURES and NOT_SET in record.reason):
            unknown += 1
        elif record.outcome in FAILURES:
            in_a_row += 1
            if in_a_row > limit:
                yield Violation(Kind.RAN_ON, f"{routine.name}: record {record.id} is number {in_a_row}")
    if routine.name in evidence.set_to_failed and in_a_row + unknown < limit:
        yield Violation(Kind.GIVEN_UP_EARLY, f"{routine.name}: after {in_a_row} failures, {unknown} unknown")

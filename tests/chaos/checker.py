"""The judge: what the evidence of a round proves to have gone wrong.

It takes nothing for granted that the manager says of itself: it works out the due times on its own, and holds them
against the records, and the records against what the counting server saw.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tests.chaos.due_times import cron_due_times, every_due_times, period_ms
from tests.chaos.evidence import ClockSetting, Effect, Evidence, KnownRoutine, Record

ADMITTING = frozenset({"succeeded", "failed", "timed_out", "crashed", "cancelled", "lost"})
"""Outcomes of runs that may have had an effect."""
NOT_STARTED = frozenset({"skipped", "missed"})
CLOCK_TOLERANCE_MS = 200
"""Between setting the manager's clock and noting it; between reading it and writing down what was read."""
LATE_EFFECT_MS = 10_000
"""How long after its record was closed a run that nobody waits for any more may begin, at most: a frozen worker."""
DAYS_AHEAD_MS = 24 * 3600 * 1000


class Kind(StrEnum):
    UNRECORDED = "a due time is not on record"
    RECORDED_TWICE = "a due time is on record twice"
    NOT_DUE = "a record has no due time of its schedule"
    EARLY = "a record was made before its due time"
    OPEN = "a record is open at the end"
    STRANGE_OUTCOME = "a record has an outcome that there is not"
    UNADMITTED = "an effect has no record that admits it"
    WITHOUT_EFFECT = "a run that succeeded had no effect"
    EFFECT_TWICE = "one due time had its effect twice"
    STILL_RUNNING = "something ran on, or had ended by itself"


@dataclass(frozen=True, slots=True)
class Violation:
    kind: Kind
    what: str


@dataclass(frozen=True, slots=True)
class Verdict:
    due_times: int
    """Those that had to be on record."""
    violations: Sequence[Violation]


def judge(evidence: Evidence) -> Verdict:
    """Everything that is wrong."""
    violations = [Violation(Kind.STILL_RUNNING, what) for what in evidence.still_running]
    records, effects = _by_program(evidence)
    due_times = 0
    for routine in evidence.routines:
        of_routine = records.pop(routine.name, [])
        required, allowed = _due_times(routine, of_routine, evidence.due_by_ms)
        due_times += len(required)
        violations += _judge_anchor(routine, of_routine)
        violations += _judge_due_times(routine.name, of_routine, required, allowed)
        violations += [violation for record in of_routine for violation in _judge_record(record)]
        violations += _judge_effects(routine, of_routine, effects.pop(routine.name, []), evidence.clock)
    for name, strange in records.items():
        violations += [Violation(Kind.NOT_DUE, f"{name}: no such routine, but record {each.id}") for each in strange]
    for name, unknown in effects.items():
        violations += [Violation(Kind.UNADMITTED, f"{name}: no such routine, at {each.at_ms}") for each in unknown]
    return Verdict(due_times, violations)


def _by_program(evidence: Evidence) -> tuple[dict[str, list[Record]], dict[str, list[Effect]]]:
    records: dict[str, list[Record]] = defaultdict(list)
    effects: dict[str, list[Effect]] = defaultdict(list)
    for record in evidence.records:
        records[record.program].append(record)
    for effect in evidence.effects:
        effects[effect.program].append(effect)
    return records, effects


def _due_times(routine: KnownRoutine, records: Sequence[Record], due_by_ms: int) -> tuple[list[int], list[int]]:
    """The due times that must be on record, and those that may be: also some before and after."""
    latest_ms = max([due_by_ms, *[record.due_ms for record in records if record.due_ms is not None]])
    until_ms = min(latest_ms, due_by_ms + DAYS_AHEAD_MS)
    period = period_ms(routine.schedule)
    if period is None:
        allowed = list(cron_due_times(routine.schedule, routine.known_after_ms, until_ms))
    else:
        allowed = list(every_due_times(_anchor_ms(routine, records, period), period, until_ms))
    return [due for due in allowed if routine.known_by_ms < due <= due_by_ms], allowed


def _anchor_ms(routine: KnownRoutine, records: Sequence[Record], period: int) -> int:
    """The first due time of ``@every``, which counts from the moment at which the manager came to know the routine."""
    recorded = [due for record in records for due in (record.first_due_ms, record.due_ms) if due is not None]
    return min(recorded, default=(routine.known_by_ms + period) // 1000 * 1000)


def _judge_anchor(routine: KnownRoutine, records: Sequence[Record]) -> Iterator[Violation]:
    period = period_ms(routine.schedule)
    if period is None or not records:
        return
    anchor = _anchor_ms(routine, records, period)
    if not routine.known_after_ms // 1000 * 1000 + period <= anchor <= routine.known_by_ms + period:
        known = f"known between {routine.known_after_ms} and {routine.known_by_ms}"
        yield Violation(Kind.NOT_DUE, f"{routine.name}: {routine.schedule} begins with {anchor}, but was {known}")


def _judge_due_times(
    name: str, records: Sequence[Record], required: Sequence[int], allowed: Sequence[int]
) -> Iterator[Violation]:
    known, times_on_record = set(allowed), Counter[int]()
    for record in records:
        if record.due_ms is None or record.due_ms not in known or (record.first_due_ms or record.due_ms) not in known:
            yield Violation(Kind.NOT_DUE, f"{name}: record {record.id} is for {record.first_due_ms or record.due_ms}")
            continue
        first_ms = record.due_ms if record.first_due_ms is None else record.first_due_ms
        times_on_record.update(_between(allowed, first_ms, record.due_ms))
    for due in required:
        if not times_on_record[due]:
            yield Violation(Kind.UNRECORDED, f"{name}: {due}")
    for due, times in times_on_record.items():
        if times > 1:
            yield Violation(Kind.RECORDED_TWICE, f"{name}: {due} is in {times} records")


def _between(ordered: Sequence[int], first: int, last: int) -> Sequence[int]:
    return ordered[bisect_left(ordered, first) : bisect_left(ordered, last + 1)]


def _judge_record(record: Record) -> Iterator[Violation]:
    if record.outcome is None or record.ended_ms is None:
        yield Violation(Kind.OPEN, f"{record.program}: record {record.id}, due {record.due_ms}")
    elif record.outcome not in ADMITTING | NOT_STARTED:
        yield Violation(Kind.STRANGE_OUTCOME, f"{record.program}: record {record.id} says {record.outcome}")
    if record.due_ms is not None and record.claimed_ms < record.due_ms:
        yield Violation(Kind.EARLY, f"{record.program}: {record.due_ms} was claimed at {record.claimed_ms}")


def _judge_effects(
    routine: KnownRoutine, records: Sequence[Record], effects: Sequence[Effect], clock: Sequence[ClockSetting]
) -> Iterator[Violation]:
    """Hold the records of a routine against its effects.

    A run makes up a mark, logs it, and then shows it to the counting server. Where a worker's report came in, the
    record has the mark, and belongs to that effect alone. The other effects must each find a record without a mark that
    admits an effect at that time.
    """
    yield from _judge_marks(records, Counter(effect.mark for effect in effects))
    marked = {mark: record for record in records for mark in record.marks}
    unexplained = []
    for effect in effects:
        record = marked.get(effect.mark)
        if record is None:
            unexplained.append(effect)
        elif record.outcome in NOT_STARTED:
            yield Violation(Kind.UNADMITTED, f"{routine.name}: record {record.id} says {record.outcome}")
    windows = [
        _effect_window(record, routine.deadline_ms, clock)
        for record in records
        if record.outcome in ADMITTING - {"succeeded"} and not record.marks
    ]
    for effect in _without_window(unexplained, windows):
        yield Violation(Kind.UNADMITTED, f"{routine.name}: mark {effect.mark} at {effect.at_ms}")


def _judge_marks(records: Sequence[Record], seen: Mapping[str, int]) -> Iterator[Violation]:
    for record in records:
        effects = sum(seen.get(mark, 0) for mark in record.marks)
        if record.outcome == "succeeded" and not effects:
            yield Violation(Kind.WITHOUT_EFFECT, f"{record.program}: record {record.id}, due {record.due_ms}")
        if effects > 1:
            yield Violation(Kind.EFFECT_TWICE, f"{record.program}: record {record.id}, {effects} times")
    told = {mark for record in records for mark in record.marks}
    for mark, times in seen.items():
        if times > 1 and mark not in told:
            yield Violation(Kind.EFFECT_TWICE, f"mark {mark}, {times} times")


def _effect_window(record: Record, deadline_ms: int, clock: Sequence[ClockSetting]) -> tuple[int, int]:
    """When, on the machine's clock, the run of a record may have had its effect."""
    ended_ms = record.claimed_ms if record.ended_ms is None else record.ended_ms
    earliest = min(_machine_times(record.claimed_ms, clock)) - CLOCK_TOLERANCE_MS
    return earliest, max(_machine_times(ended_ms, clock)) + deadline_ms + LATE_EFFECT_MS


def _machine_times(manager_ms: int, clock: Sequence[ClockSetting]) -> list[int]:
    """When the manager's clock can have shown this: more than once if it was set back."""
    ends = [*[setting.at_ms for setting in clock[1:]], None]
    times = []
    for setting, end_ms in zip(clock, ends, strict=True):
        at_ms = manager_ms - setting.offset_ms
        if at_ms >= setting.at_ms - CLOCK_TOLERANCE_MS and (end_ms is None or at_ms <= end_ms + CLOCK_TOLERANCE_MS):
            times.append(at_ms)
    return times or [manager_ms - clock[0].offset_ms]


def _without_window(effects: Sequence[Effect], windows: Sequence[tuple[int, int]]) -> list[Effect]:
    """The effects that are left over when each window takes one: always the window that closes first."""
    waiting, open_ends, left = sorted(windows, reverse=True), list[int](), []
    for effect in sorted(effects, key=lambda each: each.at_ms):
        while waiting and waiting[-1][0] <= effect.at_ms:
            open_ends.append(waiting.pop()[1])
        usable = [end for end in open_ends if end >= effect.at_ms]
        if usable:
            open_ends = usable
            open_ends.remove(min(usable))
        else:
            left.append(effect)
    return left

"""The judge: what the evidence of a round proves to have gone wrong.

It takes nothing for granted that the manager says of itself: it works out the due times on its own, and holds them
against the records, and the records against what the counting server saw.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from tests.chaos.due_times import cron_due_times, every_due_times, period_ms
from tests.chaos.evidence import AHEAD_MS, ClockSetting, Effect, Evidence, KnownRoutine, Record, Rules
from tests.chaos.machine_time import CLOCK_TOLERANCE_MS, machine_times, times_shown
from tests.chaos.policies import judge_policies
from tests.chaos.violations import Kind, Violation

ADMITTING = frozenset({"succeeded", "failed", "timed_out", "crashed", "cancelled", "lost"})
"""Outcomes of runs that may have had an effect."""
NOT_STARTED = frozenset({"skipped", "missed"})
LATE_EFFECT_MS = 10_000
"""How long after its record was closed a run that nobody waits for any more may begin, at most: a frozen worker."""
WAITED_SETBACK_MS = 60_000
"""What the clock is set back by less than this is waited out."""
DAYS_AHEAD_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Verdict:
    due_times: int
    """Those that had to be on record."""
    violations: Sequence[Violation]


def judge(evidence: Evidence) -> Verdict:
    """Everything that is wrong."""
    violations = [Violation(Kind.STILL_RUNNING, what) for what in evidence.still_running]
    records, effects, beats = _by_program(evidence.records), _by_program(evidence.effects), _by_program(evidence.beats)
    due_times = 0
    for routine in evidence.routines:
        of_routine = records.pop(routine.name, [])
        due_by_ms = _due_by_ms(routine, of_routine, evidence)
        required, allowed = _due_times(routine, of_routine, due_by_ms)
        due_times += len(required)
        violations += _judge_anchor(routine, of_routine)
        violations += _judge_due_times(routine.name, of_routine, required, allowed)
        violations += [violation for record in of_routine for violation in _judge_record(record)]
        seen = effects.pop(routine.name, [])
        violations += _judge_effects(routine, of_routine, seen, evidence.clock)
        violations += judge_policies(routine, of_routine, seen, beats.get(routine.name, []), required, evidence)
    for name, strange in records.items():
        violations += [Violation(Kind.NOT_DUE, f"{name}: no such routine, but record {each.id}") for each in strange]
    for name, unknown in effects.items():
        violations += [Violation(Kind.UNADMITTED, f"{name}: no such routine, at {each.at_ms}") for each in unknown]
    return Verdict(due_times, violations)


Told = TypeVar("Told", Record, Effect)


def _by_program(told: Sequence[Told]) -> dict[str, list[Told]]:
    parted: dict[str, list[Told]] = defaultdict(list)
    for each in told:
        parted[each.program].append(each)
    return parted


def _due_by_ms(routine: KnownRoutine, records: Sequence[Record], evidence: Evidence) -> int:
    """Up to when its due times must be on record: no longer than it was active."""
    if routine.name not in evidence.set_to_failed:
        return evidence.due_by_ms
    return min(evidence.due_by_ms, max((record.due_ms or 0 for record in records), default=0))


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
    if record.due_ms is not None and record.claimed_ms < record.due_ms - AHEAD_MS:
        yield Violation(Kind.EARLY, f"{record.program}: {record.due_ms} was claimed at {record.claimed_ms}")


def _judge_effects(
    routine: KnownRoutine, records: Sequence[Record], effects: Sequence[Effect], clock: Sequence[ClockSetting]
) -> Iterator[Violation]:
    """Hold the records of a routine against its effects.

    A run makes up a mark, logs it, and then shows it to the counting server. Where a worker's report came in, the
    record has the mark, and belongs to that effect alone. The other effects must each find a record without a mark that
    admits an effect at that time.
    """
    yield from _judge_marks(records, Counter(effect.mark for effect in effects), routine.rules)
    marked = {mark: record for record in records for mark in record.marks}
    unexplained = []
    for effect in effects:
        record = marked.get(effect.mark)
        if record is None:
            unexplained.append(effect)
        elif record.outcome in NOT_STARTED:
            yield Violation(Kind.UNADMITTED, f"{routine.name}: record {record.id} says {record.outcome}")
        elif _is_early(effect, record, routine.deadline_ms, clock):
            yield Violation(Kind.EARLY, f"{routine.name}: record {record.id}, due {record.due_ms}, at {effect.at_ms}")
    windows = [
        _effect_window(record, routine.deadline_ms, clock)
        for record in records
        for _ in range(_untold_effects(record, routine.rules))
    ]
    for effect in _without_window(unexplained, windows):
        yield Violation(Kind.UNADMITTED, f"{routine.name}: mark {effect.mark} at {effect.at_ms}")


def _is_early(effect: Effect, record: Record, deadline_ms: int, clock: Sequence[ClockSetting]) -> bool:
    """Whether a run began before it was due.

    If the clock was set back while it was held, by more than is waited out, it begins as it would have.
    """
    if record.due_ms is None or record.claimed_ms >= record.due_ms:
        return False  # the clock may have been set past it, and may have shown it only later
    due = times_shown(record.due_ms, clock)
    if not due or effect.at_ms >= min(due) - CLOCK_TOLERANCE_MS:
        return False
    set_back = [
        later.at_ms for before, later in pairwise(clock) if before.offset_ms - later.offset_ms > WAITED_SETBACK_MS
    ]
    earliest_ms = effect.at_ms - AHEAD_MS - deadline_ms - CLOCK_TOLERANCE_MS
    return not any(earliest_ms <= at_ms <= effect.at_ms + CLOCK_TOLERANCE_MS for at_ms in set_back)


def _untold_effects(record: Record, rules: Rules) -> int:
    """How many effects a record may explain of which it has no mark: of attempts before the last, or unheard of."""
    if record.outcome not in ADMITTING:
        return 0
    return _starts(record, rules) - max(len(record.marks), record.outcome == "succeeded")


def _starts(record: Record, rules: Rules) -> int:
    """How often its program may have been started. Of an attempt that was lost nobody knows that."""
    return rules.tries if record.attempts is None or record.outcome == "lost" else record.attempts


def _judge_marks(records: Sequence[Record], seen: Mapping[str, int], rules: Rules) -> Iterator[Violation]:
    for record in records:
        effects = sum(seen.get(mark, 0) for mark in record.marks)
        if record.outcome == "succeeded" and not effects:
            yield Violation(Kind.WITHOUT_EFFECT, f"{record.program}: record {record.id}, due {record.due_ms}")
        if effects > max(1, _starts(record, rules)):
            yield Violation(Kind.EFFECT_TWICE, f"{record.program}: record {record.id}, {effects} times")
    told = {mark for record in records for mark in record.marks}
    for mark, times in seen.items():
        if times > 1 and mark not in told:
            yield Violation(Kind.EFFECT_TWICE, f"mark {mark}, {times} times")


def _effect_window(record: Record, deadline_ms: int, clock: Sequence[ClockSetting]) -> tuple[int, int]:
    """When, on the machine's clock, the run of a record may have had its effect."""
    ended_ms = record.claimed_ms if record.ended_ms is None else record.ended_ms
    earliest = min(machine_times(record.claimed_ms, clock)) - CLOCK_TOLERANCE_MS
    return earliest, max(machine_times(ended_ms, clock)) + deadline_ms + LATE_EFFECT_MS


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

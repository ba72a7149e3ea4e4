"""A routine as the scheduler sees it: a program, its schedule and its policy. Values and pure functions."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from functools import lru_cache

from juvuln.due import Lateness, resume
from juvuln.policy import Policy, policy_of
from juvuln.programs import Program, ProgramKey
from juvuln.schedule import Every, Schedule, parse_schedule


@dataclass(frozen=True, slots=True)
class Routine:
    program: Program
    schedule: Schedule
    policy: Policy
    faults: tuple[str, ...] = ()
    """What is wrong with its tags."""
    delay_ms: int = 0
    """How much later than due it starts, by its jitter."""

    @property
    def start_deadline_ms(self) -> int:
        return round(self.policy.start_deadline_seconds * 1000)

    @property
    def lateness(self) -> Lateness:
        return Lateness(self.policy.missed, self.policy.missed_limit, self.start_deadline_ms)


@dataclass(frozen=True, slots=True)
class Planning:
    """What the configuration says about routines."""

    zone: tzinfo
    """Of schedules that name none."""
    zones: Mapping[str, tzinfo]
    """The same, for some domains."""
    policy: Policy
    """Of programs whose tags say nothing else."""
    spread_every: bool = False
    """Whether ``@every`` begins at another second of its period for each program."""
    ahead_ms: int = 0
    """How long before it is to start a run is claimed and handed to a worker, which holds it until then."""

    def zone_of(self, domain: str) -> tzinfo:
        return self.zones.get(domain, self.zone)

    def routine(self, program: Program) -> Routine:
        """Raises ScheduleError."""
        schedule = _parsed(program.schedule, self.zone_of(program.key.domain))
        policy, faults = policy_of(program.tags, self.policy)
        return Routine(program, schedule, policy, faults, share_of(program.key, round(policy.jitter_seconds * 1000)))

    def first_due_ms(self, routine: Routine, seen_to_ms: int | None, now_ms: int) -> int:
        """Its first due time after those that were seen to. Raises ScheduleError."""
        due_ms = resume(routine.schedule, seen_to_ms, now_ms)
        if seen_to_ms is None and self.spread_every and isinstance(routine.schedule, Every):
            period = routine.schedule.period_seconds
            return due_ms - (due_ms // 1000 - share_of(routine.program.key, period)) % period * 1000
        return due_ms


@lru_cache(maxsize=10_000)
def _parsed(text: str, zone: tzinfo) -> Schedule:
    """Many routines have the same schedule; what is asked of it is then answered once for all of them."""
    return parse_schedule(text, zone)


def share_of(key: ProgramKey, span: int) -> int:
    """A number from 0 to ``span`` - 1 that is always the same for a program, and evenly spread over all of them."""
    digest = hashlib.blake2b(str(key).encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % max(1, span)

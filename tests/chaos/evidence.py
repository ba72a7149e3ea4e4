"""What a round leaves behind, and what is judged: values only.

Times are milliseconds since 1970. Those of the records are by the manager's clock, which jumps; those of the effects by
the machine's.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KnownRoutine:
    """A routine, and when the manager came to know it (by its clock): after ``known_after_ms``, by ``known_by_ms``."""

    name: str
    schedule: str
    deadline_ms: int
    known_after_ms: int
    known_by_ms: int


@dataclass(frozen=True, slots=True)
class Record:
    """A run by schedule as it stands in the record, by plain SQL."""

    id: str
    program: str
    due_ms: int | None
    first_due_ms: int | None
    claimed_ms: int
    ended_ms: int | None
    outcome: str | None
    marks: frozenset[str]
    """Those of the runs that its log lines tell of: each run makes up one and logs it before its effect."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a run did outside: a request that reached the counting server."""

    at_ms: int
    program: str
    mark: str


@dataclass(frozen=True, slots=True)
class ClockSetting:
    """From ``at_ms`` (of the machine) on, the manager's clock was ``offset_ms`` ahead of it."""

    at_ms: int
    offset_ms: int


@dataclass(frozen=True, slots=True)
class Evidence:
    routines: Sequence[KnownRoutine]
    records: Sequence[Record]
    effects: Sequence[Effect]
    clock: Sequence[ClockSetting]
    due_by_ms: int
    """What was due by then, on the manager's clock, must be on record; what is due later may be."""
    still_running: Sequence[str] = ()
    """What ran on when everything was to have ended, and what had ended by itself."""

"""What a round leaves behind, and what is judged: values only.

Times are milliseconds since 1970. Those of the records are by the manager's clock, which jumps; those of the effects by
the machine's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

AHEAD_MS = 1000
"""A run may be claimed so long before it is due, and not begin before: what schedule.ahead_seconds is by default."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the policies of a routine promise."""

    alone: bool = True
    """No two runs of it are under way at once."""
    tries: int = 1
    """How often it is started for one due time, at most."""
    repeats_lost: bool = False
    start_within_ms: int | None = None
    """How long after it was due, or claimed, it is handed to a worker, at the latest; None if that is not judged."""
    made_up: int = 0
    """Of due times that nobody saw to in time, so many are run before any is given up."""
    failures: int = 0
    """After so many failures in a row it is set to failed; 0: never."""


@dataclass(frozen=True, slots=True)
class KnownRoutine:
    """A routine, and when the manager came to know it (by its clock): after ``known_after_ms``, by ``known_by_ms``."""

    name: str
    schedule: str
    deadline_ms: int
    known_after_ms: int
    known_by_ms: int
    rules: Rules = Rules()


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
    started_ms: int | None = None
    attempts: int | None = None
    """How often it says that its program was started, if it does."""
    reason: str = ""


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
class Pause:
    """Times of the machine. The manager had said by ``in_force_ms`` that these programs were paused."""

    programs: frozenset[str]
    in_force_ms: int
    lifted_ms: int
    """Right before somebody ended it."""


@dataclass(frozen=True, slots=True)
class Life:
    """From when on the manager was there, by the machine's clock."""

    began_ms: int
    listened_ms: int


@dataclass(frozen=True, slots=True)
class Evidence:
    routines: Sequence[KnownRoutine]
    records: Sequence[Record]
    effects: Sequence[Effect]
    clock: Sequence[ClockSetting]
    due_by_ms: int
    """What was due by then, on the manager's clock, must be on record; what is due later may be."""
    beats: Sequence[Effect] = ()
    """Signs of life that runs gave after their effect, by the same marks."""
    pauses: Sequence[Pause] = ()
    manager_lives: Sequence[Life] = ()
    """Those after the first."""
    set_to_failed: frozenset[str] = frozenset()
    """The routines whose state was that in the end."""
    still_running: Sequence[str] = ()
    """What ran on when everything was to have ended, and what had ended by itself."""

"""A run from its claim to its end. Values only; times are milliseconds since 1970, UTC, and say so in their names.

Some are made for every run: as named tuples, which take half the time of frozen data classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Self

from juvuln.policy import NO_RETRY, Retry
from juvuln.programs import Program
from shared.wire import LogLine, ModuleUse, Outcome, ProgramError


class Trigger(StrEnum):
    """What asked for a run."""

    SCHEDULE = "schedule"
    WEBHOOK = "webhook"
    MANUAL = "manual"


class ProgramCall(NamedTuple):
    """A call as a webhook's program sees it: what a :class:`shared.wire.TaskRequest` says."""

    headers: Mapping[str, str]
    body: bytes
    method: str
    path: str
    query: str
    remote: str


class Run(NamedTuple):
    """A run that is claimed: on record, and nobody else's."""

    id: str
    program: Program
    trigger: Trigger
    claimed_ms: int
    due_ms: int | None = None
    """The due time that the run is for; only runs by schedule have one."""
    first_due_ms: int | None = None
    """Where it stands for all due times of a gap: the first of them; ``due_ms`` is the last."""
    not_before_ms: int | None = None
    """When it is to start, if it was claimed ahead of that."""
    start_by_ms: int | None = None
    """Until when it may be handed to a worker; later it is missed."""
    made_up: bool = False
    """Whether it is for a due time that nobody saw to in its time."""
    retry: Retry = NO_RETRY
    """How it is repeated if it does not end well."""
    failures_limit: int = 0
    """After how many failures in a row, this one included, its program is set to failed; 0: never."""
    call: ProgramCall | None = None
    """What it answers, if it is that of a webhook."""

    @property
    def facts(self) -> Mapping[str, str]:
        """What its log lines have in common."""
        key = self.program.key
        return {"run": self.id, "program": key.uuid_text, "domain": key.domain}


class Ending(NamedTuple):
    """How a run ended."""

    outcome: Outcome
    ended_ms: int
    reason: str | None = None
    started_ms: int | None = None
    """When the worker started it or, where it does not say, was handed it; None if no worker was."""
    duration_ms: float | None = None
    """How long the worker was busy with it."""
    worker: str | None = None
    error: ProgramError | None = None
    log: Sequence[LogLine] = ()
    modules: Sequence[ModuleUse] = ()
    request_bytes: int | None = None
    answer_bytes: int | None = None
    answer_status: int | None = None
    """The HTTP status that a webhook chose."""
    attempts: int | None = None
    """How often it was started, as far as the workers say so."""


class PastEnding(NamedTuple):
    """How a run ended, in short."""

    outcome: Outcome
    revision: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A run as it stands in the record; ``ending`` is None while it is under way."""

    id: str
    domain: str
    program_uuid: str
    program_name: str
    trigger: Trigger
    revision: int
    deadline_ms: int
    claimed_ms: int
    due_ms: int | None
    manager: str
    first_due_ms: int | None = None
    ending: Ending | None = field(default=None)

    @classmethod
    def of(cls, run: Run, manager: str, ending: Ending | None) -> Self:
        """A run as it will be recorded by ``manager``."""
        return cls(
            id=run.id,
            domain=run.program.key.domain,
            program_uuid=run.program.key.uuid_text,
            program_name=run.program.name,
            trigger=run.trigger,
            revision=run.program.revision,
            deadline_ms=run.program.effective_deadline_ms,
            claimed_ms=run.claimed_ms,
            due_ms=run.due_ms,
            first_due_ms=run.first_due_ms,
            manager=manager,
            ending=ending,
        )

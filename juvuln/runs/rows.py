"""The rows of the table of runs: what is written of a run and its ending, and what is read of them."""

from typing import Any, NamedTuple

from pydantic import TypeAdapter

from juvuln.runs.run import Ending, RecordedRun, Run, Trigger
from shared.wire import LogLine, ModuleUse, Outcome, ProgramError

_lines = TypeAdapter(list[LogLine])
_modules = TypeAdapter(list[ModuleUse])


class Row(NamedTuple):
    """A row as it is written. Its fields are the columns of the table."""

    id: str
    domain: str
    program_uuid: str
    program_name: str
    trigger: str
    revision: int
    deadline_ms: int
    manager: str
    due_ms: int | None
    first_due_ms: int | None
    claimed_ms: int
    # From here on of the ending; all are None while the run is under way.
    outcome: str | None = None
    ended_ms: int | None = None
    reason: str | None = None
    started_ms: int | None = None
    duration_ms: float | None = None
    worker: str | None = None
    error: str | None = None
    log: str | None = None
    modules: str | None = None
    request_bytes: int | None = None
    answer_bytes: int | None = None
    answer_status: int | None = None
    attempts: int | None = None

    @property
    def text_bytes(self) -> int:
        """Of what may be long."""
        return len(self.log or "") + len(self.error or "") + len(self.modules or "")

    def ended(self, ending: Ending) -> "Row":
        """That of the same run with another ending."""
        kept: tuple[Any, ...] = self[:FIRST_OF_ENDING]
        return Row(*kept, *_of_ending(ending))


COLUMNS = Row._fields
FIRST_OF_ENDING = COLUMNS.index("outcome")


def claimed_row(run: Run, manager: str) -> Row:
    """Of a run that is under way."""
    return Row(*_of_claim(run, manager))


def ended_row(run: Run, manager: str, ending: Ending) -> Row:
    return Row(*_of_claim(run, manager), *_of_ending(ending))


def _of_claim(run: Run, manager: str) -> tuple[Any, ...]:
    program = run.program
    return (
        run.id,
        program.key.domain,
        program.key.uuid_text,
        _storable(program.name),
        run.trigger.value,
        program.revision,
        program.effective_deadline_ms,
        manager,
        run.due_ms,
        run.first_due_ms,
        run.claimed_ms,
    )


def _of_ending(ending: Ending) -> tuple[Any, ...]:
    return (
        ending.outcome.value,
        ending.ended_ms,
        _storable(ending.reason),
        ending.started_ms,
        ending.duration_ms,
        _storable(ending.worker),
        ending.error.model_dump_json() if ending.error else None,
        _lines.dump_json(list(ending.log)).decode() if ending.log else None,
        _modules.dump_json(list(ending.modules)).decode() if ending.modules else None,
        ending.request_bytes,
        ending.answer_bytes,
        ending.answer_status,
        ending.attempts,
    )


def _storable(text: str | None) -> str | None:
    """Text as PostgreSQL takes it: without NUL and without halves of surrogate pairs."""
    if text is None or (text.isascii() and "\0" not in text):
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def recorded(row: Any) -> RecordedRun:
    """A run, of a row that was read."""
    return RecordedRun(
        id=row.id,
        domain=row.domain,
        program_uuid=row.program_uuid,
        program_name=row.program_name,
        trigger=Trigger(row.trigger),
        revision=row.revision,
        deadline_ms=row.deadline_ms,
        claimed_ms=row.claimed_ms,
        due_ms=row.due_ms,
        manager=row.manager,
        first_due_ms=row.first_due_ms,
        ending=_recorded_ending(row) if row.outcome is not None else None,
    )


def _recorded_ending(row: Any) -> Ending:
    return Ending(
        outcome=Outcome(row.outcome),
        ended_ms=row.ended_ms,
        reason=row.reason,
        started_ms=row.started_ms,
        duration_ms=row.duration_ms,
        worker=row.worker,
        error=ProgramError.model_validate_json(row.error) if row.error else None,
        log=_lines.validate_json(row.log) if row.log else (),
        modules=_modules.validate_json(row.modules) if row.modules else (),
        request_bytes=row.request_bytes,
        answer_bytes=row.answer_bytes,
        answer_status=row.answer_status,
        attempts=row.attempts,
    )

"""What a worker's answer to a task says: a report of ours, or the plain answer of the contract. Pure functions.

On the plain contract a webhook's answer is whatever the program wrote, and a failure is JSON with `code` and `message`
where the code is the HTTP status. What looks like neither is the program's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from shared.wire import (
    REPORT_CONTENT_TYPE,
    ErrorBody,
    ErrorKind,
    LogLine,
    ModuleUse,
    Outcome,
    ProgramError,
    Report,
    TaskAnswer,
)

NOT_THE_PROGRAMS = frozenset({"content-length", "date", "server", "transfer-encoding", "connection", "x-expires"})
"""Headers of a plain answer that are the worker's."""
BUSY, CREDENTIALS_REFUSED = (429, 503), (401, 403)


class NotStarted(Exception):
    """A worker certainly did not begin the run. Not a fault of ours, but a turn that the dispatch takes."""

    def __init__(self, reason: str, *, worker_is_gone: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.worker_is_gone = worker_is_gone


class Unanswered(Exception):
    """Nobody knows what became of the run."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class WorkerAnswer:
    """The HTTP answer of a worker, read to its end."""

    status: int
    headers: Sequence[tuple[str, str]]
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Said:
    """What an answer says of the run."""

    outcome: Outcome
    reason: str | None = None
    error: ProgramError | None = None
    log: Sequence[LogLine] = ()
    modules: Sequence[ModuleUse] = ()
    duration_ms: float | None = None
    attempts: int | None = None
    answer: TaskAnswer | None = None


def understand(answer: WorkerAnswer, *, is_call: bool) -> Said:
    """What a worker's answer says; ``is_call``: of a webhook. Raises NotStarted, Unanswered."""
    if answer.content_type == REPORT_CONTENT_TYPE:
        return _reported(answer)
    failure = _failure(answer)
    if failure is not None:
        return _failed(answer.status, failure.message)
    if is_call:
        return _answered(answer)
    if answer.status == 200:
        return Said(Outcome.SUCCEEDED)
    raise Unanswered(f"the worker's answer cannot be understood (status {answer.status})")


def _reported(answer: WorkerAnswer) -> Said:
    try:
        report = Report.model_validate_json(answer.body)
    except ValidationError as error:
        raise Unanswered("the worker's report cannot be understood") from error
    return Said(
        outcome=report.outcome,
        error=report.error,
        log=report.log,
        modules=report.modules,
        duration_ms=report.duration_ms,
        attempts=report.attempts,
        answer=report.response,
    )


def _failure(answer: WorkerAnswer) -> ErrorBody | None:
    if answer.status < 400 or answer.content_type != "application/json":
        return None
    try:
        body = ErrorBody.model_validate_json(answer.body)
    except ValidationError:
        return None
    return body if body.code == answer.status else None


def _failed(status: int, message: str) -> Said:
    if status in BUSY:
        raise NotStarted(f"takes no more runs ({message})", worker_is_gone=False)
    if status in CREDENTIALS_REFUSED:
        raise NotStarted("refuses its own credentials; it was probably restarted", worker_is_gone=True)
    return Said(Outcome.FAILED, error=ProgramError(kind=ErrorKind.RUNTIME, message=message))


def _answered(answer: WorkerAnswer) -> Said:
    kept = [(name, value) for name, value in answer.headers if name.lower() not in NOT_THE_PROGRAMS]
    try:
        program = TaskAnswer(status=answer.status, headers=kept, body=answer.body)
    except ValidationError as error:
        raise Unanswered(f"the worker's answer cannot be understood (status {answer.status})") from error
    return Said(Outcome.SUCCEEDED, answer=program)

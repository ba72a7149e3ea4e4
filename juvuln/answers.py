"""What a worker's answer to a task says: a report of ours, or the plain answer of the contract. Pure functions.

On the plain contract a webhook's answer is whatever the program wrote, and a failure is JSON with `code` and `message`
where the code is the HTTP status. What looks like neither is the program's own.
"""

from collections.abc import Sequence
from enum import Enum, auto
from typing import NamedTuple

from pydantic import ValidationError

from shared.wire import (
    REPORT_CONTENT_TYPE,
    WORKERS_OUTCOMES,
    BatchLine,
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
BUSY, CREDENTIALS_REFUSED, SOURCE_NEEDED = (429, 503), (401, 403), 409
RETRY_AFTER_SECONDS = 1.0
"""When to ask a busy worker again if it does not say."""
LEAST_RETRY_SECONDS, MOST_RETRY_SECONDS = 0.1, 10.0


class Why(Enum):
    """Why a worker did not begin a run."""

    BUSY = auto()
    """It has enough to do; it may be asked again."""
    UNREACHABLE = auto()
    """There is no connection to it, for now at least."""
    GONE = auto()
    """Nobody listens there any more."""
    STRANGER = auto()
    """Somebody else listens there, perhaps the same worker in another life."""
    SOURCE_NEEDED = auto()
    """It does not keep the source code any more that only the digest was sent of."""
    BROKEN = auto()
    """The connection broke before it was told to begin."""
    OURS = auto()
    """It is this manager that did not have it begun, such as for want of means for another connection."""


class NotStarted(Exception):
    """A worker certainly did not begin the run. Not a fault of ours, but a turn that the dispatch takes."""

    def __init__(self, why: Why, reason: str, retry_after_seconds: float = RETRY_AFTER_SECONDS) -> None:
        super().__init__(reason)
        self.why = why
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds
        """When to ask it again, if it is busy."""


class Unanswered(Exception):
    """Nobody knows what became of the run."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class WorkerAnswer(NamedTuple):
    """The HTTP answer of a worker, read to its end."""

    status: int
    headers: Sequence[tuple[str, str]]
    content_type: str
    body: bytes


class Said(NamedTuple):
    """What an answer says of the run."""

    outcome: Outcome
    reason: str | None = None
    error: ProgramError | None = None
    log: Sequence[LogLine] = ()
    modules: Sequence[ModuleUse] = ()
    duration_ms: float | None = None
    waited_ms: float | None = None
    """How much of it passed before the program was started."""
    attempts: int | None = None
    answer: TaskAnswer | None = None


def understand(answer: WorkerAnswer, *, is_call: bool, keeps_sources: bool = False) -> Said:
    """What a worker's answer says; ``is_call``: of a webhook; ``keeps_sources``: that of a worker which may need them.

    Raises NotStarted, Unanswered.
    """
    if answer.content_type == REPORT_CONTENT_TYPE:
        return _reported(answer)
    failure = _failure(answer)
    if failure is not None:
        if keeps_sources:
            _check_source(answer.status)
        return _failed(answer.status, failure.message, _retry_after(answer))
    if is_call:
        return _answered(answer)
    if answer.status == 200:
        return Said(Outcome.SUCCEEDED)
    raise Unanswered(f"the worker's answer cannot be understood (status {answer.status})")


def understand_line(line: BatchLine) -> Said:
    """The same of a task in a batch. Raises NotStarted, Unanswered."""
    if line.report is not None:
        return _said(line.report)
    if line.refusal is None:
        raise Unanswered("the worker's answer cannot be understood (neither a report nor a refusal)")
    _check_source(line.refusal.code)
    return _failed(line.refusal.code, line.refusal.message, line.refusal.retry_after)


def _reported(answer: WorkerAnswer) -> Said:
    try:
        return _said(Report.model_validate_json(answer.body))
    except ValidationError as error:
        raise Unanswered("the worker's report cannot be understood") from error


def _said(report: Report) -> Said:
    """Raises Unanswered if it says what only the manager can judge."""
    if report.outcome not in WORKERS_OUTCOMES:
        raise Unanswered(f"the worker's report cannot be understood (outcome {report.outcome})")
    return Said(
        outcome=report.outcome,
        error=report.error,
        log=report.log,
        modules=report.modules,
        duration_ms=report.duration_ms,
        waited_ms=report.waited_ms,
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


def _check_source(status: int) -> None:
    """Raises NotStarted if that is what a worker says which needs the source code."""
    if status == SOURCE_NEEDED:
        raise NotStarted(Why.SOURCE_NEEDED, "does not keep the source code that it was sent")


def _failed(status: int, message: str, retry_after_seconds: float | None) -> Said:
    if status in BUSY:
        seconds = RETRY_AFTER_SECONDS if retry_after_seconds is None else retry_after_seconds
        within_reason = min(max(seconds, LEAST_RETRY_SECONDS), MOST_RETRY_SECONDS)
        raise NotStarted(Why.BUSY, f"takes no more runs ({message})", within_reason)
    if status in CREDENTIALS_REFUSED:
        raise NotStarted(Why.STRANGER, "refuses its own credentials; it was probably restarted")
    return Said(Outcome.FAILED, error=ProgramError(kind=ErrorKind.RUNTIME, message=message))


def _retry_after(answer: WorkerAnswer) -> float | None:
    """Seconds. A date is not looked at."""
    said = next((value for name, value in answer.headers if name.lower() == "retry-after"), "")
    return float(said) if said.isascii() and said.isdigit() else None


def _answered(answer: WorkerAnswer) -> Said:
    kept = [(name, value) for name, value in answer.headers if name.lower() not in NOT_THE_PROGRAMS]
    try:
        program = TaskAnswer(status=answer.status, headers=kept, body=answer.body)
    except ValidationError as error:
        raise Unanswered(f"the worker's answer cannot be understood (status {answer.status})") from error
    return Said(Outcome.SUCCEEDED, answer=program)

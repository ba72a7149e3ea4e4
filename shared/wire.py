"""The bodies of the HTTP calls between manager, worker and API server.

The names and shapes are those of the Self-host contract. Fields that the contract does not know are marked *ours*: each
is optional, and whoever does not know it ignores it, so that our daemons can be mixed with the original ones.
"""

import base64
import binascii
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, StringConstraints

MAX_DEADLINE_MS = 60_000
MAX_SOURCE_BYTES = 1024 * 1024
MAX_BODY_BYTES = 1024 * 1024

BATCH_EXTENSION = "batch"
"""That a worker takes `POST /v1/tasks/batch`."""
END_EXTENSION = "end"
"""That a worker takes `DELETE /v1/runs/{run_id}`."""
HOLD_EXTENSION = "hold"
"""That a worker takes `POST /v1/tasks/held`."""
MAX_BATCH_TASKS = 128
MAX_BATCH_BYTES = 4 * 1024 * 1024
"""Of its JSON."""

SOURCES_EXTENSION = "sources"
"""That a worker keeps source code that comes with its digest, and then takes the digest instead."""

LATEST_MS = 253_402_300_799_999
"""The end of the year 9999."""

REPORT_CONTENT_TYPE = "application/vnd.selfhost.report+json"
"""Content type of a task's answer that is a :class:`Report` rather than the plain answer of the contract."""


class WireModel(BaseModel):
    """Unknown fields are ignored, as the contract asks."""

    model_config = ConfigDict(extra="ignore", frozen=True)


def _decode_base64(value: object) -> object:
    if value is None:
        return b""  # as Go writes bytes that were never made
    if not isinstance(value, str):
        return value
    try:
        return binascii.a2b_base64(value, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("is not base64") from error


def _empty_for_null(value: object) -> object:
    """Go writes null for a map that was never made."""
    return {} if value is None else value


Base64 = Annotated[
    bytes,
    BeforeValidator(_decode_base64, json_schema_input_type=str | None),
    PlainSerializer(lambda value: base64.b64encode(value).decode("ascii"), return_type=str),
]
"""Bytes that travel as standard base64 in JSON."""

DomainName = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f:/?#@]+$")]


class ProgramType(StrEnum):
    MODULE = "module"
    ROUTINE = "routine"
    WEBHOOK = "webhook"


class ProgramState(StrEnum):
    ACTIVE = "active"
    INACTIVE = "inactive"
    FAILED = "failed"


class Outcome(StrEnum):
    """How a run ended. The first five come from a worker, the others are the manager's own judgement."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CRASHED = "crashed"
    CANCELLED = "cancelled"
    LOST = "lost"
    SKIPPED = "skipped"
    MISSED = "missed"


WORKERS_OUTCOMES = frozenset({Outcome.SUCCEEDED, Outcome.FAILED, Outcome.TIMED_OUT, Outcome.CRASHED, Outcome.CANCELLED})


class ErrorKind(StrEnum):
    COMPILE = "compile"
    RUNTIME = "runtime"
    DEADLINE = "deadline"
    MEMORY = "memory"
    OUTPUT = "output"
    CRASH = "crash"
    CANCELLED = "cancelled"


class ErrorBody(WireModel):
    """Every refusal of both daemons."""

    code: int
    message: str


class Authority(WireModel):
    """Where a daemon is reached: ``scheme://[user:pass@]host[:port]``."""

    scheme: Literal["http", "https"] = "http"
    authority: Annotated[str, StringConstraints(min_length=1, max_length=1024)]

    def split(self) -> SplitResult:
        return urlsplit(f"{self.scheme}://{self.authority}")

    @property
    def base_url(self) -> str:
        """The URL without credentials and without a trailing slash."""
        return f"{self.scheme}://{self.authority.rpartition('@')[2]}"


class Subscriber(Authority):
    """`POST /v1/subscribers`: a worker introduces itself."""

    uuid: UUID
    languages: Annotated[list[str], Field(min_length=1, max_length=32)]
    capacity: Annotated[float, Field(ge=0.01, le=1_000_000, allow_inf_nan=False, strict=True)] | None = None
    """Ours: how much it can do, compared with other workers: its processors."""
    version: Annotated[str, StringConstraints(max_length=64)] | None = None
    """Ours, like ``extensions``."""
    extensions: Annotated[list[Annotated[str, StringConstraints(max_length=64)]], Field(max_length=32)] = []
    """What it takes beyond the contract: ``batch``, ``end``, ``hold``, ``sources``."""


class Load(WireModel):
    """A worker's load: the sum of the deadlines (ms) of what it has on its plate."""

    load: Annotated[int, Field(ge=0, le=2**63 - 1)]


class TaskRequest(WireModel):
    """The call that a webhook answers."""

    headers: Annotated[dict[str, str], BeforeValidator(_empty_for_null)] = {}
    body: Base64 = b""
    method: str = "POST"
    """Ours, like ``path``, ``query`` and ``remote``."""
    path: str = ""
    query: str = ""
    remote: str = ""


class Task(WireModel):
    """`POST /v1/tasks`: run this program now and answer when it has ended."""

    deadline: Annotated[int, Field(ge=0, le=MAX_DEADLINE_MS)]
    """Milliseconds; 0 asks for the longest that there is."""
    domain: DomainName
    language: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    program_uuid: Annotated[str, StringConstraints(min_length=36, max_length=36)]
    source_code: Base64
    """Empty where ``source_digest`` stands for it."""
    http: TaskRequest | None = None
    source_digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Ours: SHA-256 of the source code. With the source code it asks that this be kept for the domain; without, it
    stands for what was kept. If that is not there any more, the task is refused with 409, and not begun."""
    program_name: Annotated[str, StringConstraints(max_length=255)] | None = None
    """Ours: the file name in error positions; without it the uuid stands there."""
    run_id: Annotated[str, StringConstraints(max_length=64)] | None = None
    """Ours: bound to the worker's log lines, so that both daemons' logs of one run are found by one word."""
    retry: bool = False
    """Ours: if the executor crashes under the run, for whatever reason, and time is left, run it once more."""
    library: Annotated[str, StringConstraints(max_length=64)] | None = None
    """Ours: stands for the state of the domain's programs. A module that was looked up in another state is looked up
    again, however lately that was."""
    report: bool = False
    """Ours: answer with a :class:`Report` instead of the plain answer."""

    @property
    def effective_deadline_ms(self) -> int:
        return self.deadline or MAX_DEADLINE_MS


class TaskBatch(WireModel):
    """Ours: a line of `POST /v1/tasks/batch`, some of the small tasks that go in one call."""

    tasks: Annotated[list[Task], Field(min_length=1, max_length=MAX_BATCH_TASKS)]


class BeginWord(WireModel):
    """Ours: the second line that `POST /v1/tasks/held` is sent, when the time of its tasks has come.

    The first is a :class:`TaskBatch`. Before the second nothing is begun, and if the connection ends nothing is.
    """

    without: Annotated[list[Annotated[int, Field(ge=0)]], Field(max_length=MAX_BATCH_TASKS)] = []
    """Which of the tasks, by their index, are not to begin after all."""


class ProgramError(WireModel):
    """Why a program did not end well."""

    kind: ErrorKind
    message: str
    stack: list[str] = []
    """``file:line:column`` of the Tengo source, innermost first."""

    def __str__(self) -> str:
        if not self.stack or self.stack[0] in self.message:
            return self.message
        return f"{self.message} (at {self.stack[0]})"


def as_one_error(errors: Sequence[ProgramError]) -> ProgramError:
    """Of several errors the first, with the others' messages and places behind its own."""
    others = [f"{error.stack[0]}: {error.message}" if error.stack else error.message for error in errors[1:]]
    return errors[0].model_copy(update={"message": "; ".join([errors[0].message, *others])})


class LogLine(WireModel):
    at_ms: Annotated[int, Field(ge=0, le=LATEST_MS)]
    """Milliseconds since 1970, UTC."""
    level: Literal["info", "error"]
    message: str


class ModuleUse(WireModel):
    """A module that a run used: the name as imported, and the revision that it stood for."""

    name: str
    revision: int | None = None
    etag: str = ""


class TaskAnswer(WireModel):
    """What a webhook program wrote."""

    status: Annotated[int, Field(ge=200, le=599)] = 200
    headers: list[tuple[str, str]] = []
    body: Base64 = b""


class Report(WireModel):
    """Ours: everything that the worker knows of a run that ended."""

    outcome: Outcome
    error: ProgramError | None = None
    log: tuple[LogLine, ...] = ()
    """All lines, in order. Where the run was started again, those of the first start come first, and then a line of
    the worker's that says why."""
    attempts: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """How often the run was started: 2 if the executor crashed and the task allowed a retry."""
    duration_ms: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """From the task's acceptance to its end."""
    waited_ms: Annotated[float, Field(ge=0, le=LATEST_MS)] | None = None
    """How much of this passed before the program was started: for its turn, an executor, its compilation."""
    modules: tuple[ModuleUse, ...] = ()
    response: TaskAnswer | None = None


class TaskRefusal(ErrorBody):
    """A task of a batch that was not begun: what would be the answer's status, message and `Retry-After` (seconds)."""

    retry_after: int | None = None


class BatchLine(WireModel):
    """A line of the answer to a call with several tasks: what became of one of them. They come as the tasks end."""

    index: Annotated[int, Field(ge=0)]
    """Which of the tasks of the call it is."""
    report: Report | None = None
    """There unless it was refused."""
    refusal: TaskRefusal | None = None

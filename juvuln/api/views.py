"""The JSON of `/v2/programs`: what clients send and get."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, StringConstraints, field_validator
from pydantic.config import JsonDict
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from juvuln.clock import from_ms
from juvuln.domains.store import Revision, Specification
from juvuln.program_rules import MAX_TAGS, MAX_TEXT, NO_SCHEDULE
from juvuln.runs.run import RecordedRun, Trigger
from juvuln.schedule_pattern import schedule_pattern
from juvuln.storable import UNSTORABLE, is_storable
from shared.module_names import MODULE_NAME
from shared.wire import MAX_DEADLINE_MS, LogLine, ModuleUse, Outcome, ProgramError, ProgramState, ProgramType

STORABLE = r"^[^\x00]*$"
"""How the description of the API has :func:`is_storable`; JSON as UTF-8 has no room for halves of surrogate pairs."""


class ScheduleShape:
    """Describes a schedule. What decides is :func:`check_specification`."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        shapes = [*map(re.escape, NO_SCHEDULE), schedule_pattern(available_timezones())]
        return {**handler(schema), "pattern": f"^(?:{'|'.join(shapes)})$"}


Schedule = Annotated[
    str,
    StringConstraints(max_length=MAX_TEXT),
    ScheduleShape,
    Field(description="When a routine starts: `0 45 23 * * 6`, `@every 90s`, `TZ=Europe/Stockholm 0 0 6 * * *`."),
]
Text = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_TEXT), Field(json_schema_extra={"pattern": STORABLE})
]
Tags = Annotated[list[Text], Field(max_length=MAX_TAGS)]
Deadline = Annotated[
    int, Field(ge=0, le=MAX_DEADLINE_MS, strict=True, description="Milliseconds; 0 asks for the longest that there is.")
]
EXAMPLE: JsonDict = {
    "name": "greeting",
    "type": "webhook",
    "state": "active",
    "schedule": "",
    "deadline": 1000,
    "language": "tengo",
    "tags": ["demo"],
}
NAMED_AS_MODULE: JsonDict = {"type": {"enum": ["module"]}, "name": {"pattern": MODULE_NAME}}
WITH_SCHEDULE: JsonDict = {"type": {"enum": ["routine"]}, "schedule": {"minLength": 3}}
FIELDS_BY_TYPE: JsonDict = {
    "anyOf": [
        {"properties": {"type": {"enum": ["webhook"]}}},
        {"properties": NAMED_AS_MODULE},
        {"properties": WITH_SCHEDULE, "required": ["schedule"]},
    ]
}
"""What a program's type asks of its other fields."""
CHANGES_BY_TYPE: JsonDict = {
    "anyOf": [
        {"properties": {"type": {"enum": ["webhook", None]}}},
        {"properties": NAMED_AS_MODULE, "required": ["type"]},
        {"properties": WITH_SCHEDULE, "required": ["type"]},
    ]
}


class ClientModel(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    @field_validator("*", mode="after")
    @classmethod
    def _storable(cls, value: object) -> object:
        texts = value if isinstance(value, list) else [value]
        if not all(is_storable(text) for text in texts if isinstance(text, str)):
            raise ValueError(UNSTORABLE)
        return value


class NewProgram(ClientModel):
    model_config = ConfigDict(extra="ignore", frozen=True, json_schema_extra={**FIELDS_BY_TYPE, "example": EXAMPLE})

    name: Text
    type: ProgramType
    state: ProgramState
    schedule: Schedule = ""
    deadline: Deadline
    language: Literal["tengo"]
    tags: Tags | None = None


class ProgramChanges(ClientModel):
    """Any subset of a program's fields; what is null stays as it is."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, json_schema_extra={**CHANGES_BY_TYPE, "example": {"state": "inactive", "tags": []}}
    )

    name: Text | None = None
    type: ProgramType | None = None
    state: ProgramState | None = None
    schedule: Schedule | None = None
    deadline: Deadline | None = None
    language: Literal["tengo"] | None = None
    tags: Tags | None = None

    def columns(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_none=True)


class ProgramView(BaseModel):
    uuid: UUID
    name: str
    type: str
    state: str
    schedule: str
    deadline: int
    """Milliseconds."""
    language: str
    tags: list[str]

    @classmethod
    def of(cls, specification: Specification) -> Self:
        return cls(
            uuid=specification.uuid,
            name=specification.name,
            type=specification.type,
            state=specification.state,
            schedule=specification.schedule,
            deadline=specification.deadline,
            language=specification.language,
            tags=list(specification.tags),
        )


class RevisionView(BaseModel):
    revision: int
    created: datetime
    created_by: UUID | None
    """Null where nobody wrote it down, or the user was deleted since."""
    signed: datetime | None
    signed_by: UUID | None
    checksum: str | None
    """SHA-256 of the code, in hex."""

    @classmethod
    def of(cls, revision: Revision) -> Self:
        return cls(
            revision=revision.revision,
            created=revision.created,
            created_by=revision.created_by,
            signed=revision.signed,
            signed_by=revision.signed_by,
            checksum=None if revision.checksum is None else revision.checksum.hex(),
        )


class RunView(BaseModel):
    """A run. What is not known, or not yet, is null; ``outcome`` is null while it is under way."""

    id: str
    program_uuid: str
    program_name: str
    trigger: Trigger
    revision: int
    deadline_ms: int
    due: datetime | None
    first_due: datetime | None = None
    """Where one run stands for due times that were missed together: the first of them; ``due`` is the last."""
    claimed: datetime
    started: datetime | None = None
    ended: datetime | None = None
    outcome: Outcome | None = None
    reason: str | None = None
    duration_ms: float | None = None
    worker: str | None = None
    manager: str
    error: ProgramError | None = None
    log: list[LogLine] = []
    modules: list[ModuleUse] = []
    request_bytes: int | None = None
    answer_bytes: int | None = None
    answer_status: int | None = None
    attempts: int | None = None

    @classmethod
    def of(cls, run: RecordedRun) -> Self:
        view = cls(
            id=run.id,
            program_uuid=run.program_uuid,
            program_name=run.program_name,
            trigger=run.trigger,
            revision=run.revision,
            deadline_ms=run.deadline_ms,
            due=None if run.due_ms is None else from_ms(run.due_ms),
            first_due=None if run.first_due_ms is None else from_ms(run.first_due_ms),
            claimed=from_ms(run.claimed_ms),
            manager=run.manager,
        )
        if run.ending is None:
            return view
        ending = run.ending
        return view.model_copy(
            update={
                "started": None if ending.started_ms is None else from_ms(ending.started_ms),
                "ended": from_ms(ending.ended_ms),
                "outcome": ending.outcome,
                "reason": ending.reason,
                "duration_ms": ending.duration_ms,
                "worker": ending.worker,
                "error": ending.error,
                "log": list(ending.log),
                "modules": list(ending.modules),
                "request_bytes": ending.request_bytes,
                "answer_bytes": ending.answer_bytes,
                "answer_status": ending.answer_status,
                "attempts": ending.attempts,
            }
        )

"""Values that the tests of the manager's middle are made of."""

import asyncio
import hashlib
from dataclasses import replace
from uuid import UUID

from juvuln.clock import Clock
from juvuln.domains.domain import Refreshing
from juvuln.programs import Program, ProgramKey
from juvuln.runs.run import ProgramCall
from shared.wire import ProgramType

UUID_1 = UUID("00000000-0000-4000-8000-000000000001")
UUID_2 = UUID("00000000-0000-4000-8000-000000000002")
PROGRAM = Program(
    key=ProgramKey("test", UUID_1),
    name="beat",
    type=ProgramType.ROUTINE,
    schedule="*/5 * * * * *",
    deadline_ms=1000,
    language="tengo",
    revision=0,
    checksum=b"sum",
    code=b"x := 1",
    digest=hashlib.sha256(b"x := 1").digest(),
)

CALL = ProgramCall(headers={}, body=b"", method="POST", path="/", query="", remote="127.0.0.1")


def program(uuid: UUID = UUID_1, **changes: object) -> Program:
    return replace(PROGRAM, key=ProgramKey("test", uuid), **changes)  # type: ignore[arg-type]


def refreshing_hourly() -> Refreshing:
    """How domains are read again: so seldom that only what a test does has them read."""
    return Refreshing(
        interval_seconds=3600,
        timeout_seconds=10,
        max_age_seconds=3600,
        lane=asyncio.Semaphore(1),
        lane_away=asyncio.Semaphore(1),
        clock=Clock(),
        spread=lambda: 0.0,
    )

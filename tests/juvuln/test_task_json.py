"""What a worker is sent for a run."""

import pytest

from juvuln.policy import Retry
from juvuln.runs.run import ProgramCall, Run, Trigger
from juvuln.task_json import task_json
from juvuln.workers import SourceForm
from shared.wire import Task, TaskRequest
from tests.juvuln.support import PROGRAM, UUID_1

CALL = ProgramCall({"a": "b"}, b"\xff\xfe\xfb", method="PUT", path="/x", query="y=1", remote="10.0.0.1")
WHOLE = {"source_code": PROGRAM.code, "source_digest": None}
BY_DIGEST = {"source_code": b"", "source_digest": PROGRAM.digest.hex()}


@pytest.mark.parametrize(
    ("form", "source"),
    [
        (SourceForm.WHOLE, WHOLE),
        (SourceForm.TO_KEEP, WHOLE | {"source_digest": PROGRAM.digest.hex()}),
        (SourceForm.DIGEST, BY_DIGEST),
    ],
)
@pytest.mark.parametrize("call", [None, CALL])
def test_a_task_says_all_that_the_wire_has_of_a_run(
    form: SourceForm, source: dict[str, object], call: ProgramCall | None
) -> None:
    run = Run("r1", PROGRAM, Trigger.SCHEDULE, claimed_ms=0, call=call, retry=Retry(1))
    told = Task.model_validate_json(task_json(run, "state", form))
    assert {"source_code": told.source_code, "source_digest": told.source_digest} == source
    assert told.http == (TaskRequest(**call._asdict()) if call else None)
    assert told.model_dump(exclude={"source_code", "source_digest", "http"}) == {
        "deadline": 1000,
        "domain": "test",
        "language": "tengo",
        "program_uuid": str(UUID_1),
        "program_name": "beat",
        "run_id": "r1",
        "retry": True,
        "library": "state",
        "report": True,
    }


def test_what_is_not_known_is_not_said() -> None:
    task = task_json(Run("r1", PROGRAM, Trigger.SCHEDULE, claimed_ms=0), "", SourceForm.WHOLE)
    assert not {b"null", b"library", b"http", b"source_digest"} & set(task.replace(b'"', b" ").split())

"""The task that a worker is sent for a run."""

from base64 import b64encode
from typing import Any

from pydantic_core import to_json

from juvuln.runs.run import Run
from juvuln.workers import SourceForm
from shared.wire import Outcome

LONGEST_NAME = 255
"""What the wire takes of a program's name; a database may hold longer ones."""


def task_json(run: Run, library_state: str, form: SourceForm) -> bytes:
    """A :class:`shared.wire.Task`. Written without making one, which would check once more what is known to be right.

    ``library_state`` stands for the state of the domain's programs; empty where that is not known.
    """
    program = run.program
    task: dict[str, Any] = {
        "deadline": program.effective_deadline_ms,
        "domain": program.key.domain,
        "language": program.language,
        "program_uuid": program.key.uuid_text,
        "source_code": "" if form is SourceForm.DIGEST else b64encode(program.code).decode(),
        "program_name": program.name[:LONGEST_NAME],
        "run_id": run.id,
        "report": True,
        "retry": run.retry.wants(Outcome.CRASHED, attempts=1),
    }
    if form is not SourceForm.WHOLE:
        task["source_digest"] = program.digest.hex()
    if library_state:
        task["library"] = library_state
    if (call := run.call) is not None:
        task["http"] = {
            "headers": call.headers,
            "body": b64encode(call.body).decode(),
            "method": call.method,
            "path": call.path,
            "query": call.query,
            "remote": call.remote,
        }
    return to_json(task, exclude_none=True)

"""The task that a worker is sent for a run."""

from juvuln.runs.run import Run
from juvuln.workers import SourceForm
from shared.wire import Outcome, Task, TaskRequest

LONGEST_NAME = 255
"""What the wire takes of a program's name; a database may hold longer ones."""


def task_json(run: Run, request: TaskRequest | None, library_state: str, form: SourceForm) -> bytes:
    """``library_state`` stands for the state of the domain's programs; empty where that is not known."""
    program = run.program
    task = Task(
        deadline=program.effective_deadline_ms,
        domain=program.key.domain,
        language=program.language,
        program_uuid=str(program.key.uuid),
        source_code=b"" if form is SourceForm.DIGEST else program.code,
        source_digest=None if form is SourceForm.WHOLE else program.digest.hex(),
        http=request,
        program_name=program.name[:LONGEST_NAME],
        run_id=run.id,
        library=library_state or None,
        report=True,
        retry=run.retry.wants(Outcome.CRASHED, attempts=1),
    )
    return task.model_dump_json(exclude_none=True).encode()

"""What the source code of a task costs the two daemons, sent whole and by its digest: `python -m bench.sources`.

Processor time of what depends on it: in the manager, to write the task; in the worker, to read it and find its program.
What the kernel and the HTTP libraries do with more bytes comes on top.
"""

import hashlib
import time
from collections.abc import Callable
from uuid import UUID

from juvuln.programs import Program, ProgramKey
from juvuln.runs.run import Run, Trigger
from juvuln.task_json import task_json
from juvuln.workers import SourceForm
from malgomaj.kept_sources import KeptSources
from malgomaj.programs import source_key
from malgomaj.tasks import source_of
from shared.wire import ProgramType, Task

SIZES = (100, 10_000, 100_000)
TIMES, ROUNDS = 500, 9


def a_run(size: int) -> Run:
    code = (b"x := 1 // and so on\n" * (size // 20 + 1))[:size]
    digest = hashlib.sha256(code).digest()
    program = Program(
        key=ProgramKey("bench", UUID(int=1)),
        name="beat",
        type=ProgramType.ROUTINE,
        schedule="@every 1s",
        deadline_ms=1000,
        language="tengo",
        revision=0,
        checksum=digest,
        code=code,
        digest=digest,
    )
    return Run("a run", program, Trigger.SCHEDULE, claimed_ms=0)


def manager_us(run: Run, form: SourceForm) -> float:
    return _us(lambda: task_json(run, "state", form))


def worker_us(run: Run, form: SourceForm) -> float:
    sources = KeptSources(2**30)
    sources.code_of(Task.model_validate_json(task_json(run, "state", SourceForm.TO_KEEP)))
    body = task_json(run, "state", form)

    def find() -> object:
        task = Task.model_validate_json(body)
        return sources.code_of(task), source_key(source_of(task))

    return _us(find)


def _us(work: Callable[[], object]) -> float:
    return min(_round_us(work) for _ in range(ROUNDS))


def _round_us(work: Callable[[], object]) -> float:
    began = time.process_time()
    for _ in range(TIMES):
        work()
    return (time.process_time() - began) / TIMES * 1e6


def main() -> None:
    for size in SIZES:
        run = a_run(size)
        for form in (SourceForm.WHOLE, SourceForm.DIGEST):
            manager, worker = manager_us(run, form), worker_us(run, form)
            print(f"{size:>7} bytes, {form.name.lower():>6}: manager {manager:6.1f} us, worker {worker:6.1f} us a run")


if __name__ == "__main__":
    main()

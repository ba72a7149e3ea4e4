"""How a task that ended is answered over HTTP."""

import time

from multidict import CIMultiDict

from malgomaj.tasks import Ended
from malgomaj.webhook import task_answer
from shared.http import likely_content_type
from shared.reply import Reply, error_reply, http_date
from shared.wire import REPORT_CONTENT_TYPE, Outcome, Report, Task


def answer(task: Task, ended: Ended) -> Reply:
    """A report if the task asked for one, else the plain answer of the contract."""
    if task.report:
        return _reported(task, ended)
    if ended.outcome is not Outcome.SUCCEEDED:
        return error_reply(500, str(ended.error))
    if task.http is None:
        return Reply(headers=_expires(ended))
    return _written_by_program(ended)


def report(task: Task, ended: Ended) -> Report:
    """Everything that is known of it."""
    succeeded = ended.outcome is Outcome.SUCCEEDED
    return Report(
        outcome=ended.outcome,
        error=ended.error,
        log=ended.progress.log.lines,
        attempts=ended.progress.attempts,
        duration_ms=round(ended.duration_ms, 3),
        waited_ms=None if ended.progress.waited_ms is None else round(ended.progress.waited_ms, 3),
        modules=ended.progress.modules,
        response=task_answer(ended.done) if ended.done and succeeded and task.http else None,
    )


def _reported(task: Task, ended: Ended) -> Reply:
    return Reply(
        200 if ended.outcome is Outcome.SUCCEEDED else 500,
        report(task, ended).model_dump_json().encode(),
        {"Content-Type": REPORT_CONTENT_TYPE, **_expires(ended)},
    )


def _written_by_program(ended: Ended) -> Reply:
    assert ended.done is not None
    written = task_answer(ended.done)
    headers = CIMultiDict(written.headers)
    if "Content-Type" not in headers and written.body:
        headers["Content-Type"] = likely_content_type(written.body)
    headers.update(_expires(ended))
    return Reply(written.status, written.body, headers)


def _expires(ended: Ended) -> dict[str, str]:
    """Until when the compiled program stays cached."""
    if ended.kept_seconds is None:
        return {}
    return {"X-Expires": http_date(int(time.time() + ended.kept_seconds))}

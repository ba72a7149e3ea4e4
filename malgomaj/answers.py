"""How a task that ended is answered over HTTP."""

import time
from collections.abc import Mapping

from multidict import CIMultiDict
from pydantic_core import to_json

from malgomaj.tasks import Ended
from malgomaj.webhook import written_by_program
from shared.http import likely_content_type
from shared.reply import Reply, error_reply, http_date
from shared.wire import REPORT_CONTENT_TYPE, Outcome, Task

_BY_DEFAULT: Mapping[str, object] = {
    "error": None,
    "waited_ms": None,
    "log": (),
    "modules": (),
    "attempts": 1,
    "response": None,
}
"""Of a report; a batch leaves out what is so."""


def answer(task: Task, ended: Ended) -> Reply:
    """A report if the task asked for one, else the plain answer of the contract."""
    if task.report:
        return _reported(task, ended)
    if ended.outcome is not Outcome.SUCCEEDED:
        return error_reply(500, str(ended.error))
    if task.http is None:
        return Reply(headers=_expires(ended))
    return _as_written(ended)


def report(task: Task, ended: Ended) -> Mapping[str, object]:
    """A :class:`shared.wire.Report`, but for what is as by default.

    Put together without making one, which would check once more what is known to be right.
    """
    progress = ended.progress
    said: dict[str, object] = {"outcome": ended.outcome, "duration_ms": round(ended.duration_ms, 3)}
    if ended.error is not None:
        said["error"] = ended.error
    if progress.waited_ms is not None:
        said["waited_ms"] = round(progress.waited_ms, 3)
    if progress.log.lines:
        said["log"] = progress.log.lines
    if progress.modules:
        said["modules"] = progress.modules
    if progress.attempts != 1:
        said["attempts"] = progress.attempts
    if task.http is not None and ended.done is not None and ended.outcome is Outcome.SUCCEEDED:
        said["response"] = written_by_program(ended.done).words()
    return said


def _reported(task: Task, ended: Ended) -> Reply:
    return Reply(
        200 if ended.outcome is Outcome.SUCCEEDED else 500,
        to_json({**_BY_DEFAULT, **report(task, ended)}),
        {"Content-Type": REPORT_CONTENT_TYPE, **_expires(ended)},
    )


def _as_written(ended: Ended) -> Reply:
    assert ended.done is not None
    written = written_by_program(ended.done)
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

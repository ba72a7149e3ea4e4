"""How a task that ended is answered over HTTP."""

import functools
import time
from email.utils import formatdate

from aiohttp import web
from multidict import CIMultiDict

from malgomaj.tasks import Ended
from malgomaj.webhook import task_answer
from shared.http import error_response, likely_content_type
from shared.wire import REPORT_CONTENT_TYPE, Outcome, Report, Task


def answer(task: Task, ended: Ended) -> web.Response:
    """A report if the task asked for one, else the plain answer of the contract."""
    if task.report:
        return _reported(task, ended)
    if ended.outcome is not Outcome.SUCCEEDED:
        return error_response(500, str(ended.error))
    if task.http is None:
        return web.Response(headers=_expires(ended))
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


def _reported(task: Task, ended: Ended) -> web.Response:
    return web.Response(
        status=200 if ended.outcome is Outcome.SUCCEEDED else 500,
        text=report(task, ended).model_dump_json(),
        content_type=REPORT_CONTENT_TYPE,
        headers=_expires(ended),
    )


def _written_by_program(ended: Ended) -> web.Response:
    assert ended.done is not None
    written = task_answer(ended.done)
    headers = CIMultiDict(written.headers)
    if "Content-Type" not in headers and written.body:
        headers["Content-Type"] = likely_content_type(written.body)
    headers.update(_expires(ended))
    return web.Response(status=written.status, headers=headers, body=written.body)


def _expires(ended: Ended) -> dict[str, str]:
    """Until when the compiled program stays cached."""
    if ended.kept_seconds is None:
        return {}
    return {"X-Expires": _http_date(int(time.time() + ended.kept_seconds))}


@functools.lru_cache(maxsize=8)
def _http_date(unix_seconds: int) -> str:
    return formatdate(unix_seconds, usegmt=True)

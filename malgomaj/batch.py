"""Many tasks in one call: all are run, each as if it had come alone, and told of in a line of its own when it ends."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any

import structlog
from aiohttp import web
from pydantic_core import to_json

from malgomaj.answers import report
from malgomaj.errors import WordMissing
from malgomaj.tasks import Ended
from shared.http import Refusal
from shared.streams import NDJSON
from shared.wire import Task, TaskRefusal

Run = Callable[[int, Task], Awaitable[Ended]]
"""Runs one of several tasks, by its number among them, to its end; raises Refusal if it is not begun."""

log = structlog.get_logger()


class Lines:
    """What there is to send; several that come in the same turn of the loop, or the next, are sent together."""

    def __init__(self) -> None:
        self._gathered: list[bytes] = []
        self._news = asyncio.Event()

    def add_report(self, index: int, report: Mapping[str, object]) -> None:
        self._add({"index": index, "report": report})

    def add_refusal(self, index: int, refusal: TaskRefusal) -> None:
        self._add({"index": index, "refusal": refusal})

    def _add(self, line: Mapping[str, object]) -> None:
        """A :class:`shared.wire.BatchLine`."""
        self._gathered.append(to_json(line) + b"\n")
        self._news.set()

    async def take(self) -> Sequence[bytes]:
        """At least one."""
        await self._news.wait()
        # Each piece that is sent wakes the manager, which costs both more than to wait a moment for the next line.
        await asyncio.sleep(0)
        self._news.clear()
        gathered, self._gathered = self._gathered, []
        return gathered


async def answer_batch(
    request: web.Request,
    tasks: Sequence[Task],
    run: Run,
    meanwhile: Callable[[], Coroutine[Any, Any, None]] | None = None,
) -> web.StreamResponse:
    """Run the tasks side by side, and send a line for each as it ends.

    Should what is done ``meanwhile`` raise WordMissing, they are all cancelled, and the connection is cut.
    """
    response = web.StreamResponse()
    response.content_type = NDJSON
    await response.prepare(request)
    lines = Lines()
    try:
        async with asyncio.TaskGroup() as group:
            for index, task in enumerate(tasks):
                group.create_task(_run_one(index, task, run, lines))
            if meanwhile is not None:
                group.create_task(meanwhile())
            await _send(response, lines, len(tasks))
    except* WordMissing as missing:
        log.info("held_tasks_dropped", tasks=len(tasks), reason=str(missing.exceptions[0]))
        if request.transport is not None:
            request.transport.abort()
    return response


async def _send(response: web.StreamResponse, lines: Lines, count: int) -> None:
    try:
        while count:
            taken = await lines.take()
            count -= len(taken)
            await response.write(b"".join(taken))
        await response.write_eof()
    except ConnectionError:
        log.info("batch_unheard", tasks=count)  # who asked has gone, at which the whole call is about to be cancelled


async def _run_one(index: int, task: Task, run: Run, lines: Lines) -> None:
    try:
        lines.add_report(index, report(task, await run(index, task)))
    except Refusal as refusal:
        retry_after = refusal.headers.get("Retry-After")
        seconds = int(retry_after) if retry_after else None
        lines.add_refusal(index, TaskRefusal(code=refusal.code, message=refusal.message, retry_after=seconds))
    except Exception:
        log.exception("task_failed", run=task.run_id)
        message = "internal error; the daemon's log has the details"
        lines.add_refusal(index, TaskRefusal(code=500, message=message))

"""Many tasks in one call: all are run, each as if it had come alone, and told of in a line of its own when it ends."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from itertools import count
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

Begin = Callable[[Sequence[Task]], Awaitable[None]]
"""Begins more tasks. It waits until there is room for what is said of still more."""

log = structlog.get_logger()


MAX_UNSENT_LINES = 1024
"""As long as a caller does not read so many, no more tasks are taken from him."""


class Lines:
    """What there is to send; several that come in the same turn of the loop, or the next, are sent together."""

    def __init__(self) -> None:
        self._gathered: list[bytes] = []
        self._news = asyncio.Event()
        self._taken = asyncio.Event()
        self._open = 0
        self._are_all_known = False

    def expect(self) -> None:
        """There is going to be one more."""
        self._open += 1

    def expect_no_more(self) -> None:
        self._are_all_known = True
        self._news.set()

    def add_report(self, index: int, report: Mapping[str, object]) -> None:
        self._add({"index": index, "report": report})

    def add_refusal(self, index: int, refusal: TaskRefusal) -> None:
        self._add({"index": index, "refusal": refusal})

    def _add(self, line: Mapping[str, object]) -> None:
        """A :class:`shared.wire.BatchLine`."""
        self._gathered.append(to_json(line) + b"\n")
        self._news.set()

    async def take(self) -> Sequence[bytes]:
        """At least one; none after the last."""
        while not self._gathered:
            if self._are_all_known and not self._open:
                return ()
            self._news.clear()
            await self._news.wait()
        # Each piece that is sent wakes the manager, which costs both more than to wait a moment for the next line.
        await asyncio.sleep(0)
        gathered, self._gathered = self._gathered, []
        self._open -= len(gathered)
        self._taken.set()
        return gathered

    async def have_room(self) -> None:
        """Wait until what there is to send is being read."""
        while len(self._gathered) > MAX_UNSENT_LINES:
            self._taken.clear()
            await self._taken.wait()


async def answer_batch(
    request: web.Request, tasks: Sequence[Task], run: Run, meanwhile: Callable[[Begin], Coroutine[Any, Any, None]]
) -> web.StreamResponse:
    """Run the tasks side by side, and send a line for each as it ends.

    What is done ``meanwhile`` may begin more of them. Should it raise WordMissing, they are all cancelled, and the
    connection is cut.
    """
    response = web.StreamResponse()
    response.content_type = NDJSON
    await response.prepare(request)
    lines = Lines()
    numbers = count()
    try:
        async with asyncio.TaskGroup() as group:

            async def begin(some: Sequence[Task]) -> None:
                for task in some:
                    lines.expect()
                    group.create_task(_run_one(next(numbers), task, run, lines))
                await lines.have_room()

            async def begin_all() -> None:
                await begin(tasks)
                await meanwhile(begin)
                lines.expect_no_more()

            group.create_task(begin_all())
            await _send(response, lines)
    except* WordMissing as missing:
        log.info("held_tasks_dropped", tasks=len(tasks), reason=str(missing.exceptions[0]))
        if request.transport is not None:
            request.transport.abort()
    return response


async def _send(response: web.StreamResponse, lines: Lines) -> None:
    try:
        while taken := await lines.take():
            await response.write(b"".join(taken))
        await response.write_eof()
    except ConnectionError:
        log.info("batch_unheard")  # who asked has gone, at which the whole call is about to be cancelled


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

"""Tasks for one worker that are to be sent in the same turn of the loop go together, in one call.

What gathers is what is due together or went on record together, and then what takes the places of runs that ended
together: the more there is to do, the larger the batches, and one task alone goes alone. To whoever asks, nothing
differs.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog

from juvuln.answers import NotStarted, Said, Unanswered, Why, understand_line
from juvuln.worker_client import WorkerClient
from juvuln.workers import Worker
from shared.wire import MAX_BATCH_TASKS, BatchLine, BeginWord

ROOM_BYTES = 512 * 1024
"""For the tasks of a batch, far less than a worker takes. A larger one goes alone."""

_Together = tuple[UUID, int | None]
"""A worker, and when it is to begin what it gets (ms), if not at once."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Start:
    """When a task begins that is handed over before its time."""

    at_ms: int
    """In milliseconds since 1970: tasks with the same go together."""
    at: float
    """By the loop's clock."""
    begin: Callable[[], None]
    """Called then; from then on the worker may have begun it. Raises NotStarted if it is not to begin after all."""


@dataclass(slots=True, eq=False)
class Waiting:
    """A task, and who waits for what the worker says of it."""

    task: bytes
    is_call: bool
    said: "asyncio.Future[Said]"
    start: Start | None
    """None: at once."""
    begun: bool
    """Whether the worker may have begun it."""
    call: "asyncio.Task[None] | None" = None
    """The call that it goes with, once that is made."""


class Batches:
    def __init__(self, client: WorkerClient) -> None:
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._gathering: dict[_Together, list[Waiting]] = {}
        self._calls: dict[asyncio.Task[None], int] = {}
        """The calls under way, and how many still wait for them."""

    async def run(self, worker: Worker, task: bytes, *, is_call: bool, start: Start | None = None) -> Said:
        """What the worker says of a task, which is JSON; ``is_call``: of a webhook.

        With ``start`` it is handed over now, and begins then. Raises NotStarted, Unanswered.
        """
        said = self._loop.create_future()
        waiting = Waiting(task, is_call, said, start, begun=start is None)
        together = worker.uuid, start.at_ms if start else None
        if together in self._gathering:
            self._gathering[together].append(waiting)
        elif await self._is_sent_alone(worker, together, waiting):
            return await self._client.run(worker, task, is_call=is_call)
        try:
            return await waiting.said
        finally:
            if waiting.call is not None:
                self._leave(waiting.call)

    async def _is_sent_alone(self, worker: Worker, together: _Together, first: Waiting) -> bool:
        """Gather what comes in this turn of the loop, and send it; true if nothing else came and it may go alone."""
        self._gathering[together] = [first]
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            first.said.cancel()
            raise
        finally:
            gathered = [waiting for waiting in self._gathering.pop(together) if not waiting.said.done()]
            is_alone = gathered == [first] and first.start is None
            if not is_alone:
                self._send(worker, gathered)
        return is_alone

    def _leave(self, call: "asyncio.Task[None]") -> None:
        """One waits no more; a call that nobody waits for is given up, if it has not ended."""
        self._calls[call] -= 1
        if not self._calls[call]:
            del self._calls[call]
            call.cancel()

    def _send(self, worker: Worker, gathered: Sequence[Waiting]) -> None:
        for batch in _parted(gathered):
            call = self._loop.create_task(self._call(worker, batch))
            self._calls[call] = len(batch)
            for waiting in batch:
                waiting.call = call

    async def _call(self, worker: Worker, batch: list[Waiting]) -> None:
        """One call to its end. It raises nothing: each who waits is told."""
        try:
            start = batch[0].start
            if start is not None:
                await self._client.run_held(
                    worker, _tasks(batch), start.at, lambda: _begin(batch), lambda line: _hear(batch, line)
                )
            elif len(batch) == 1:
                _tell(batch[0], await self._client.run(worker, batch[0].task, is_call=batch[0].is_call))
            else:
                await self._client.run_batch(worker, _tasks(batch), lambda line: _hear(batch, line))
            turn: NotStarted | Unanswered = Unanswered(f"{worker.name} did not say what became of it")
        except (NotStarted, Unanswered) as error:
            turn = error
        except Exception:
            log.exception("batch_failed", worker=worker.name)
            turn = Unanswered("internal error of the manager; its log has the details")
        for waiting in batch:
            _refuse(waiting, turn)


def _tasks(batch: Iterable[Waiting]) -> list[bytes]:
    return [waiting.task for waiting in batch]


def _begin(batch: Iterable[Waiting]) -> BeginWord:
    """Their time has come: what the worker is told."""
    return BeginWord(without=[index for index, waiting in enumerate(batch) if not _is_begun(waiting)])


def _is_begun(waiting: Waiting) -> bool:
    if waiting.start is None or waiting.said.done():
        return False
    try:
        waiting.start.begin()
    except NotStarted as turn:
        _refuse(waiting, turn)
    except Exception:
        # The others are still to hear that they begin.
        log.exception("run_not_begun")
        _refuse(waiting, NotStarted(Why.OURS, "internal error of the manager; its log has the details"))
    else:
        waiting.begun = True
    return waiting.begun


def _parted(gathered: Iterable[Waiting]) -> Iterator[list[Waiting]]:
    """In batches of a bounded number and size."""
    batch: list[Waiting] = []
    size_bytes = 0
    for waiting in gathered:
        if batch and (len(batch) == MAX_BATCH_TASKS or size_bytes + len(waiting.task) > ROOM_BYTES):
            yield batch
            batch, size_bytes = [], 0
        batch.append(waiting)
        size_bytes += len(waiting.task)
    if batch:
        yield batch


def _hear(batch: list[Waiting], line: BatchLine) -> None:
    """Raises Unanswered if the line is of none of the tasks."""
    if line.index >= len(batch):
        raise Unanswered("the worker's answer to several tasks cannot be understood")
    waiting = batch[line.index]
    try:
        said = understand_line(line)
        if not waiting.begun:
            raise NotStarted(Why.BROKEN, f"ended it before its time ({said.error or said.outcome})")
        _tell(waiting, said)
    except (NotStarted, Unanswered) as turn:
        _refuse(waiting, turn)


def _tell(waiting: Waiting, said: Said) -> None:
    if not waiting.said.done():
        waiting.said.set_result(said)


def _refuse(waiting: Waiting, turn: NotStarted | Unanswered) -> None:
    if waiting.said.done():
        return
    # Each gets one of its own: a traceback belongs to one task.
    if isinstance(turn, NotStarted):
        waiting.said.set_exception(NotStarted(turn.why, turn.reason, turn.retry_after_seconds))
    else:
        waiting.said.set_exception(Unanswered(turn.reason) if waiting.begun else NotStarted(Why.BROKEN, turn.reason))

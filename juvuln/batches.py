"""Tasks for one worker that are to be sent in the same turn of the loop go together.

What gathers is what is due together or went on record together, and then what takes the places of runs that ended
together: the more there is to do, the larger the batches, and one task alone goes alone. A call with a batch stays open
for a while, and those that come next go with it. To whoever asks, nothing differs.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from uuid import UUID

import structlog

from juvuln.answers import NotStarted, Said, Unanswered
from juvuln.batch_call import BatchCall, Start, Waiting
from juvuln.worker_client import WorkerClient
from juvuln.workers import Worker
from shared.wire import MAX_BATCH_TASKS

ROOM_BYTES = 512 * 1024
"""For the tasks of a batch, far less than a worker takes. A larger one goes alone."""

TASKS_AT_ONCE = 8
"""So many that come in one turn of the loop are sent on an open call without waiting for its end, so that the worker
begins with them while the next are made."""

_Together = tuple[UUID, int | None]
"""A worker, and when it is to begin what it gets (ms), if not at once."""

log = structlog.get_logger()


class Batches:
    def __init__(self, client: WorkerClient) -> None:
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._gathering: dict[_Together, list[Waiting]] = {}
        self._open: dict[UUID, BatchCall] = {}
        """The last call of each worker that takes more tasks, or took them a while ago."""
        self._making: set[asyncio.Task[None]] = set()

    async def run(self, worker: Worker, task: bytes, *, is_call: bool, start: Start | None = None) -> Said:
        """What the worker says of a task, which is JSON; ``is_call``: of a webhook.

        With ``start`` it is handed over now, and begins then. Raises NotStarted, Unanswered.
        """
        if start is None and len(task) > ROOM_BYTES:
            return await self._client.run(worker, task, is_call=is_call)
        said = self._loop.create_future()
        waiting = Waiting(task, said, start, begun=start is None)
        together = worker.uuid, start.at_ms if start else None
        try:
            if together in self._gathering:
                self._join(worker, together, waiting)
            elif await self._is_sent_alone(worker, together, waiting):
                return await self._client.run(worker, task, is_call=is_call)
            return await waiting.said
        finally:
            if waiting.call is not None:
                waiting.call.leave()

    def _join(self, worker: Worker, together: _Together, waiting: Waiting) -> None:
        """Go with what gathers in this turn of the loop."""
        gathering = self._gathering[together]
        gathering.append(waiting)
        if len(gathering) >= TASKS_AT_ONCE and waiting.start is None and (call := self._open_call(worker)):
            self._gathering[together] = []
            for batch in _parted(_still_waiting(gathering)):
                call.add(batch)

    async def _is_sent_alone(self, worker: Worker, together: _Together, first: Waiting) -> bool:
        """Gather what comes in this turn of the loop, and send it; true if nothing else came and it may go alone."""
        self._gathering[together] = [first]
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            first.said.cancel()
            raise
        finally:
            gathered = _still_waiting(self._gathering.pop(together))
            is_alone = gathered == [first] and first.start is None
            if not is_alone:
                self._send(worker, gathered)
        return is_alone

    def _open_call(self, worker: Worker) -> BatchCall | None:
        call = self._open.get(worker.uuid)
        return call if call is not None and call.body.takes_more else None

    def _send(self, worker: Worker, gathered: Iterable[Waiting]) -> None:
        for batch in _parted(gathered):
            call = self._open_call(worker) if batch[0].start is None else None
            if call is not None:
                call.add(batch)
            else:
                self._begin_call(worker, batch)

    def _begin_call(self, worker: Worker, batch: Sequence[Waiting]) -> None:
        call, start = BatchCall(batch), batch[0].start
        if start is not None:
            call.say_word(start.at)
        elif worker.speaks_tls:
            call.body.end()
        else:
            call.stay_open()
            self._open[worker.uuid] = call
        making = self._loop.create_task(self._make(worker, call, is_held=start is not None))
        call.begin(making)
        self._making.add(making)
        making.add_done_callback(self._making.discard)

    async def _make(self, worker: Worker, call: BatchCall, *, is_held: bool) -> None:
        """One call to its end. It raises nothing: each who waits is told."""
        make = self._client.run_held if is_held else self._client.run_batch
        turn: NotStarted | Unanswered = Unanswered("nobody waited for it any more")
        try:
            await make(worker, call.body, call.hear)
            turn = Unanswered(f"{worker.name} did not say what became of it")
        except (NotStarted, Unanswered) as error:
            turn = error
        except Exception:
            log.exception("batch_failed", worker=worker.name)
            turn = Unanswered("internal error of the manager; its log has the details")
        finally:
            if self._open.get(worker.uuid) is call:
                del self._open[worker.uuid]
            call.refuse(turn)


def _still_waiting(gathered: Iterable[Waiting]) -> list[Waiting]:
    return [waiting for waiting in gathered if not waiting.said.done()]


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

"""A call of a worker that takes many tasks: what is sent in it, and what it says of each."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from juvuln.answers import NotStarted, Said, Unanswered, Why, understand_line
from juvuln.worker_connections import Parts
from shared.wire import BatchLine, BeginWord

OPEN_SECONDS = 5.0
"""How long it takes more tasks. A worker does not wait for the end of a call for ever."""
LINGER_SECONDS = 0.1
"""How long it stays open when all that was sent has been answered, lest the next tasks need a call of their own."""
END_SECONDS = 5.0
"""How long a worker may take to end it once nothing is under way in it any more."""

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
    said: "asyncio.Future[Said]"
    start: Start | None
    """None: at once."""
    begun: bool
    """Whether the worker may have begun it."""
    call: "BatchCall | None" = None
    """The call that it goes with, once that is made."""

    def hear(self, line: BatchLine) -> None:
        try:
            said = understand_line(line)
            if not self.begun:
                raise NotStarted(Why.BROKEN, f"ended it before its time ({said.error or said.outcome})")
        except (NotStarted, Unanswered) as turn:
            self.refuse(turn)
        else:
            if not self.said.done():
                self.said.set_result(said)

    def refuse(self, turn: NotStarted | Unanswered) -> None:
        if self.said.done():
            return
        # Each gets one of its own: a traceback belongs to one task.
        if isinstance(turn, NotStarted):
            self.said.set_exception(NotStarted(turn.why, turn.reason, turn.retry_after_seconds))
        else:
            self.said.set_exception(Unanswered(turn.reason) if self.begun else NotStarted(Why.BROKEN, turn.reason))

    def is_to_begin(self) -> bool:
        """To be asked when its time has come."""
        if self.start is None or self.said.done():
            return False
        try:
            self.start.begin()
        except NotStarted as turn:
            self.refuse(turn)
        except Exception:
            # The others are still to hear that they begin.
            log.exception("run_not_begun")
            self.refuse(NotStarted(Why.OURS, "internal error of the manager; its log has the details"))
        else:
            self.begun = True
        return self.begun


class BatchCall:
    """Its tasks are numbered in the order in which they are sent, from 0."""

    def __init__(self, first: Sequence[Waiting]) -> None:
        self.body = Parts()
        """What is sent: lines with some tasks each."""
        self._loop = asyncio.get_running_loop()
        self._unanswered: dict[int, Waiting] = {}
        """By number."""
        self._sent = 0
        """How many tasks."""
        self._waiting = 0
        """How many wait for what is said of theirs."""
        self._making: asyncio.Task[None] | None = None
        self._last_part: asyncio.TimerHandle | None = None
        """When the last is sent."""
        self._end: asyncio.TimerHandle | None = None
        """When it ends if nothing more is sent."""
        self.add(first)

    def add(self, batch: Sequence[Waiting]) -> None:
        """Send more tasks."""
        for waiting in batch:
            self._unanswered[self._sent] = waiting
            self._sent += 1
            waiting.call = self
        self._waiting += len(batch)
        if self._end is not None:
            self._end.cancel()
        self.body.send(b'{"tasks":[' + b",".join([waiting.task for waiting in batch]) + b"]}\n")

    def stay_open(self) -> None:
        """Let more tasks be sent, for some time."""
        self._last_part = self._loop.call_later(OPEN_SECONDS, self.body.end)

    def say_word(self, at: float) -> None:
        """Let the tasks, which the worker holds, begin ``at`` a time of the loop's clock."""
        self._last_part = self._loop.call_at(at, self._say_word)

    def begin(self, making: "asyncio.Task[None]") -> None:
        """``making`` makes the call. It is cancelled if nobody waits for it any more."""
        self._making = making
        making.add_done_callback(self._cancel_timers)

    def hear(self, line: BatchLine) -> None:
        """What the worker says of a task. Raises Unanswered if it is none of which it has not spoken yet."""
        waiting = self._unanswered.pop(line.index, None)
        if waiting is None:
            raise Unanswered("the worker's answer to several tasks cannot be understood")
        waiting.hear(line)

    def leave(self) -> None:
        """One waits no more. When nobody does, the call ends soon; at once if there is something not answered."""
        self._waiting -= 1
        if self._waiting or self._making is None or self._making.done():
            return
        if self._unanswered:
            self._give_up()
        elif self.body.takes_more:
            self._end = self._loop.call_later(LINGER_SECONDS, self._finish)
        else:
            self._finish()

    def refuse(self, turn: NotStarted | Unanswered) -> None:
        """The call is over, and this is what became of all of which the worker has not spoken."""
        for waiting in self._unanswered.values():
            waiting.refuse(turn)
        self._unanswered.clear()

    def _say_word(self) -> None:
        if not self.body.is_on_its_way:
            self.refuse(NotStarted(Why.BROKEN, "had no connection when its time had come"))
            self._give_up()
        else:
            without = [number for number in range(self._sent) if not self._is_to_begin(number)]
            self.body.send(BeginWord(without=without).model_dump_json().encode() + b"\n")
            self.body.end()

    def _is_to_begin(self, number: int) -> bool:
        waiting = self._unanswered.get(number)
        return waiting is not None and waiting.is_to_begin()

    def _finish(self) -> None:
        self.body.end()
        self._end = self._loop.call_later(END_SECONDS, self._give_up)

    def _give_up(self) -> None:
        self.body.end()  # lest more is added until it has ended
        if self._making is not None:
            self._making.cancel()

    def _cancel_timers(self, _made: object) -> None:
        for timer in (self._last_part, self._end):
            if timer is not None:
                timer.cancel()

"""The log lines of runs as they are written: of those under way from a stream each, of the others when they have ended.

One thread for each stream puts its lines into a queue; everything else happens in the thread that asks for events.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from juvuln.commands.watch import Look, Run, look_again
from shared.errors import SelfhostError

LOOK_SECONDS = 0.5
MOST_STREAMS = 16
"""Runs that are followed at once; the lines of others come when they have ended."""

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Written:
    """A run has logged a line."""

    run: Run
    line: Line


@dataclass(frozen=True, slots=True)
class Ended:
    """A run has ended, and all its lines are told."""

    run: Run


Event = Written | Ended


def from_record(run: Run, told: int = 0) -> Iterator[Event]:
    """All of a run that has ended but the first ``told`` lines."""
    yield from (Written(run, line) for line in run["log"][told:])
    yield Ended(run)


@dataclass(slots=True)
class _Stream:
    run: Run
    lines: int = 0
    open: bool = True


class Follower:
    """``look`` says which runs there are, and None when there is nothing more to come; ``lines`` is a run's stream.

    Should the server be away for a while it waits, and says so by ``warn``.
    """

    def __init__(
        self,
        look: Callable[[], Look | None],
        lines: Callable[[str], Iterator[Line]],
        warn: Callable[[str], None],
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._look = look
        self._lines = lines
        self._warn = warn
        self._look_seconds = look_seconds
        self._streams: dict[str, _Stream] = {}
        self._ended: list[Run] = []
        self._queue: SimpleQueue[tuple[str, Line | None]] = SimpleQueue()

    def events(self) -> Iterator[Event]:
        """Raises what the first look raises, and later RefusedError."""
        seen = self._look()
        while seen is not None:
            for run in seen.open:
                self._begin(run)
            self._ended += seen.ended
            yield from self._endings()
            yield from self._until_next_look()
            seen = look_again(self._look, self._warn, self._look_seconds)
        while self._ended:
            yield from self._until_next_look()
            yield from self._endings()

    def _begin(self, run: Run) -> None:
        under_way = sum(stream.open for stream in self._streams.values())
        if run["id"] not in self._streams and under_way < MOST_STREAMS:
            self._streams[run["id"]] = _Stream(run)
            Thread(target=self._read, args=(run["id"],), daemon=True).start()

    def _read(self, run: str) -> None:
        """Whatever ends the stream: the lines that it has not brought come with the record of the run."""
        try:
            with suppress(SelfhostError):
                for line in self._lines(run):
                    self._queue.put((run, line))
        finally:
            self._queue.put((run, None))

    def _until_next_look(self) -> Iterator[Written]:
        """The lines that come in the meantime. When a stream ends it is time to look at once."""
        deadline = time.monotonic() + self._look_seconds
        while (remaining := deadline - time.monotonic()) > 0:
            try:
                run, line = self._queue.get(timeout=remaining)
            except Empty:
                return
            stream = self._streams[run]
            if line is None:
                stream.open = False
                return
            stream.lines += 1
            yield Written(stream.run, line)

    def _endings(self) -> Iterator[Event]:
        """Of the runs that have ended and whose stream, if there was one, has too."""
        waiting: list[Run] = []
        for run in self._ended:
            stream = self._streams.get(run["id"])
            if stream is not None and stream.open:
                waiting.append(run)
                continue
            self._streams.pop(run["id"], None)
            yield from from_record(run, stream.lines if stream else 0)
        self._ended = waiting

"""The log lines of the runs under way, for who follows them while they run."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from shared.news import News
from shared.wire import LogLine


@dataclass(slots=True)
class RunLog:
    """What one run has logged so far."""

    lines: list[LogLine] = field(default_factory=list)
    ended: bool = False
    _news: News | None = None
    """There once somebody follows; most runs are followed by nobody."""

    def add(self, line: LogLine) -> None:
        self.lines.append(line)
        if self._news is not None:
            self._news.tell()

    def end(self) -> None:
        """Nothing more will come."""
        self.ended = True
        if self._news is not None:
            self._news.tell()

    async def follow(self, *, to_the_end: bool) -> AsyncGenerator[bytes, None]:
        """Each line as JSON: those that there are or, ``to_the_end``, all until the run has ended."""
        news = self._news = self._news or News()
        sent = 0
        while True:
            while sent < len(self.lines):
                sent += 1
                yield self.lines[sent - 1].model_dump_json().encode() + b"\n"
            if self.ended or not to_the_end:
                return
            await news.wait()


class RunLogs:
    """The logs of the runs under way, by the id that the manager gave each."""

    def __init__(self) -> None:
        self._logs: dict[str, RunLog] = {}

    def find(self, run_id: str) -> RunLog | None:
        return self._logs.get(run_id)

    def begin(self, run_id: str | None, log: RunLog) -> None:
        """A run has begun; without an id nobody can ask for it."""
        if run_id is not None:
            self._logs[run_id] = log

    def end(self, run_id: str | None, log: RunLog) -> None:
        log.end()
        if run_id is not None and self._logs.get(run_id) is log:
            del self._logs[run_id]

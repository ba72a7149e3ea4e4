"""Logging: structlog, readable on a terminal, one JSON object a line otherwise.

An event has a stable name and its facts in fields; what users wrote goes into fields, never into the name. A line is
written for every run, so that what a line costs counts.
"""

import asyncio
import json
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from io import UnsupportedOperation
from types import MappingProxyType
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

Format = Literal["auto", "console", "json"]
Level = Literal["debug", "info", "warning", "error"]

_BOUND: ContextVar[Mapping[str, str]] = ContextVar("bound", default=MappingProxyType({}))


def configure_logging(
    daemon: str, *, log_format: Format = "auto", level: Level = "info", stream: TextIO | None = None
) -> "LineWriter":
    """Send every log line of this process to ``stream`` (standard error unless given), by what this gives.

    ``log_format`` "auto" is "console" when the stream is a terminal, else "json". Lines of the standard ``logging``
    module (of the libraries) take the same way from level warning on.
    """
    stream = stream or sys.stderr
    console = log_format == "console" or (log_format == "auto" and stream.isatty())
    facts = _facts(daemon)
    writer = _console_writer(stream) if console else _json_writer()
    lines = LineWriter(stream)
    structlog.configure(
        processors=[facts, writer],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )
    handler = _LibraryHandler(lines)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[facts],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, writer, _decode],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    return lines


def bind_facts(facts: Mapping[str, str]) -> None:
    """Have these fields in all lines of this asyncio task from now on, instead of what was bound before.

    One variable holds them all: structlog's has one for each field, and to set three took longer than a short program.
    """
    _BOUND.set(facts)


def _facts(daemon: str) -> Processor:
    """What every line tells besides its own fields."""
    stamp = _Stamp()

    def add_facts(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        for name, value in _BOUND.get().items():
            event.setdefault(name, value)
        event["level"] = method
        event["timestamp"] = stamp.now()
        event["daemon"] = daemon
        return event

    return add_facts


class _Stamp:
    """The time in ISO form, UTC. What changes once a second is put into words once a second."""

    def __init__(self) -> None:
        self._second = (0, "")

    def now(self) -> str:
        second, microsecond = divmod(time.time_ns() // 1000, 1_000_000)
        known, text = self._second
        if second != known:
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = second, text
        return f"{text}.{microsecond:06d}Z"


class LineWriter:
    """Lines as bytes to a stream. The logger that structlog has at its end.

    Each is written at once, but for those that :meth:`gathered` lets wait a moment. Failures end nothing: a full disk
    or a closed pipe costs the log lines, not the work.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._has_descriptor = _has_descriptor(stream)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._waiting: deque[bytes] = deque()

    @contextmanager
    def gathered(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        """Within, what the loop's thread says waits for the end of the loop's turn, but for warnings: all in one write.

        For each a system call would have to be made, at which the interpreter goes to and fro between threads. Should
        the process be killed, the lines of that turn are lost.
        """
        self._loop, self._thread = loop, threading.get_ident()
        try:
            yield
        finally:
            self._loop = None
            self._write_waiting()

    def info(self, line: bytes) -> None:
        self._waiting.append(line)
        if self._loop is None or threading.get_ident() != self._thread:
            self._write_waiting()
        elif len(self._waiting) == 1:
            self._loop.call_soon(self._write_waiting)

    debug = info

    def write(self, line: bytes) -> None:
        """At once, with those that wait before it."""
        self._waiting.append(line)
        self._write_waiting()

    warning = error = critical = write

    def _write_waiting(self) -> None:
        lines = []
        with suppress(IndexError):
            while True:  # one by one, for other threads take and add lines at the same time
                lines.append(self._waiting.popleft())
        left = b"".join(line + b"\n" for line in lines)
        try:
            if not self._has_descriptor:
                self._stream.buffer.write(left)
                return
            while left:
                left = left[os.write(self._stream.fileno(), left) :]
        except (OSError, ValueError):
            pass


def _has_descriptor(stream: TextIO) -> bool:
    """Whether it is a file for the system too; one in memory is not."""
    try:
        stream.fileno()
    except UnsupportedOperation:
        return False
    return True


class _LibraryHandler(logging.Handler):
    """Takes lines of the standard ``logging`` module."""

    def __init__(self, lines: "LineWriter") -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.write(self.format(record).encode())
        except Exception:  # noqa: BLE001 - what cannot be put into words ends nothing: the standard way to say so
            self.handleError(record)


def _console_writer(stream: TextIO) -> Callable[..., bytes]:
    # The plain formatter, for the richer ones print the values of variables, passwords among them.
    formatter = structlog.dev.plain_traceback
    renderer = structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=formatter)

    def write(logger: WrappedLogger, method: str, event: EventDict) -> bytes:
        return renderer(logger, method, event).encode(errors="backslashreplace")

    return write


def _json_writer() -> Callable[..., bytes]:
    # Loaded here, for most commands log nothing.
    from pydantic_core import PydanticSerializationError, to_json

    def write(logger: WrappedLogger, method: str, event: EventDict) -> bytes:
        """As JSON, by a writer that takes a fraction of the standard one's time."""
        if "exc_info" in event:
            event = structlog.processors.format_exc_info(logger, method, event)
        try:
            return to_json(event, fallback=repr)
        except PydanticSerializationError:
            # It refuses text that is no Unicode, which a path or a header may hold.
            return json.dumps(event, default=repr).encode()

    return write


def _decode(_logger: WrappedLogger, _method: str, line: Any) -> str:
    """As the standard ``logging`` module wants it."""
    text: str = line.decode()
    return text

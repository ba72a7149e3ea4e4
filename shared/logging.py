"""Logging: structlog, readable on a terminal, one JSON object a line otherwise.

An event has a stable name and its facts in fields; what users wrote goes into fields, never into the name.
"""

import json
import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

Format = Literal["auto", "console", "json"]
Level = Literal["debug", "info", "warning", "error"]


def configure_logging(
    daemon: str, *, log_format: Format = "auto", level: Level = "info", stream: TextIO | None = None
) -> None:
    """Send every log line of this process to ``stream`` (standard error unless given).

    ``log_format`` "auto" is "console" when the stream is a terminal, else "json". Lines of the standard ``logging``
    module (of the libraries) take the same way from level warning on.
    """
    stream = stream or sys.stderr
    console = log_format == "console" or (log_format == "auto" and stream.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named(daemon),
    ]
    renderer = _console_renderer(stream) if console else _json_renderer()
    forgiving = cast("TextIO", _Forgiving(stream))
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(forgiving),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(forgiving)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)


def _named(daemon: str) -> Processor:
    def add_name(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["daemon"] = daemon
        return event

    return add_name


class _Forgiving:
    """A stream whose failures end nothing: a full disk or a closed pipe costs the log lines, not the work."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def _console_renderer(stream: TextIO) -> list[Processor]:
    # The plain formatter, for the richer ones print the values of variables, passwords among them.
    formatter = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=formatter)]


def _json_renderer() -> list[Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_json_writer())]


def _json_writer() -> Callable[..., str]:
    # Loaded here, for most commands log nothing.
    from pydantic_core import PydanticSerializationError, to_json

    def write(event: EventDict, **_options: Any) -> str:
        """As JSON, by a writer that takes a fraction of the standard one's time: a line is written for every run."""
        try:
            return to_json(event, fallback=repr).decode()
        except PydanticSerializationError:
            # It refuses text that is no Unicode, which a path or a header may hold.
            return json.dumps(event, default=repr)

    return write

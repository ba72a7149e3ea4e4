"""Why an executor died, in words, from how it exited and what it said last."""

import signal

from shared.wire import ErrorKind, ProgramError

_STACK_SIGNS = ("stack overflow", "goroutine stack exceeds")
_MEMORY_SIGNS = (
    "out of memory",
    "cannot allocate memory",
    "cannot map pages",
    "out of address space",
    "pthread_create failed",
    "runtime.(*spanQueue).",
)
"""The ways in which Go says it, by what it needed the memory for. The last one it does not say: the collector of
Go 1.26 makes no check of the memory for its own queue, and ends with a segmentation fault there."""


class StderrExcerpt:
    """The first and the last of what an executor wrote to standard error.

    Go names the reason of a crash first, and other reasons come last.
    """

    def __init__(self, max_bytes: int = 8192) -> None:
        self._half = max_bytes // 2
        self._first = b""
        self._last = b""

    def add(self, data: bytes) -> None:
        room = self._half - len(self._first)
        self._first += data[:room]
        self._last = (self._last + data[room:])[-self._half :]

    def text(self) -> str:
        return (self._first + self._last).decode("utf-8", "replace")


def explain_death(exit_status: int, stderr: str, memory_limit: str) -> ProgramError:
    """The error of whatever was inside. ``exit_status`` is negative where a signal ended the process.

    ``memory_limit`` says what allows it how much memory: it completes "needed more memory than".
    """
    if any(sign in stderr for sign in _STACK_SIGNS):
        return _crash("Go stack overflow: often a value that contains itself, or source that is nested too deep")
    if any(sign in stderr for sign in _MEMORY_SIGNS):
        message = f"the executor needed more memory than {memory_limit}"
        return ProgramError(kind=ErrorKind.MEMORY, message=message)
    return _crash(f"the executor {_exit_in_words(exit_status)}{_said(stderr)}")


def _crash(message: str) -> ProgramError:
    return ProgramError(kind=ErrorKind.CRASH, message=message)


def _exit_in_words(exit_status: int) -> str:
    if exit_status >= 0:
        return f"ended with exit status {exit_status}"
    try:
        name = signal.Signals(-exit_status).name
    except ValueError:
        name = f"signal {-exit_status}"
    return f"was ended by {name}"


def _said(stderr: str) -> str:
    """The line of ``stderr`` that tells most: Go's own reason, else the last one."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    reasons = [line for line in lines if line.startswith(("fatal error:", "panic:"))]
    line = (reasons or lines[-1:] or [""])[0]
    return f": {line[:300]}" if line else ""

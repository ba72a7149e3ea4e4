"""What can go wrong in a command, and the exit status that stands for it (docs/cli.md)."""

from collections.abc import Mapping
from typing import Any

from shared.errors import ConfigurationError, SelfhostError
from shared.start import EXIT_CONFIGURATION, EXIT_FAILURE, EXIT_USAGE

EXIT_UNREACHABLE = 3
EXIT_UNKNOWN = 4
EXIT_DENIED = 5
EXIT_INTERRUPTED = 130


class UsageError(SelfhostError):
    """The command was called wrongly, or something that it needs to know is missing or ambiguous."""


class UnreachableError(SelfhostError):
    """There is no answer from the server, or none that juvuln would give, or it cannot serve for the time being."""


class RefusedError(SelfhostError):
    """The server says no. ``body`` is the JSON object of its answer, empty if there was none."""

    def __init__(self, message: str, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class UnknownError(RefusedError):
    """There is no such thing (404)."""


class DeniedError(RefusedError):
    """The credentials are wrong (401) or do not suffice (403)."""


_STATUSES: Mapping[type[SelfhostError], int] = {
    UsageError: EXIT_USAGE,
    UnreachableError: EXIT_UNREACHABLE,
    UnknownError: EXIT_UNKNOWN,
    DeniedError: EXIT_DENIED,
    ConfigurationError: EXIT_CONFIGURATION,
}


def exit_status(error: SelfhostError) -> int:
    """The status that a command ends with after ``error``."""
    return next((_STATUSES[kind] for kind in type(error).__mro__ if kind in _STATUSES), EXIT_FAILURE)

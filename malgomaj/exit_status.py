"""What the exit status of the commands on local files says."""

from collections.abc import Iterable

from shared.wire import ErrorKind, ProgramError

EXIT_PROGRAM = 1
EXIT_DEADLINE = 3
EXIT_LIMIT = 4
EXIT_INTERRUPTED = 130
"""As a shell gives it for Ctrl-C."""

_BY_KIND = {
    ErrorKind.COMPILE: EXIT_PROGRAM,
    ErrorKind.RUNTIME: EXIT_PROGRAM,
    ErrorKind.DEADLINE: EXIT_DEADLINE,
}


def exit_status(errors: Iterable[ProgramError]) -> int:
    """0 if there are none, else that of the gravest."""
    return max((_BY_KIND.get(error.kind, EXIT_LIMIT) for error in errors), default=0)

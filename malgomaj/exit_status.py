"""What the exit status of the commands on local files says."""

import re
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


_LIMIT = re.compile(r"\((limits|executors)\.\w+")
"""How every error about a limit names its key of the configuration."""


def exit_status(errors: Iterable[ProgramError]) -> int:
    """0 if there are none, else that of the gravest."""
    return max(map(_exit_status, errors), default=0)


def _exit_status(error: ProgramError) -> int:
    if error.kind is ErrorKind.RUNTIME and _LIMIT.search(error.message):
        return EXIT_LIMIT
    return _BY_KIND.get(error.kind, EXIT_LIMIT)

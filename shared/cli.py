"""The command line's side of errors: one clear line each on standard error, and an exit status that means something."""

import sys

from shared.errors import ConfigurationError, SelfhostError

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_CONFIGURATION = 78
"""EX_CONFIG of sysexits.h: a restart will not help; the systemd units know."""


def report_error(program: str, error: SelfhostError) -> int:
    """Print ``error`` line by line, each with the program's name before it; gives the exit status."""
    for line in str(error).splitlines():
        print(f"{program}: {line}", file=sys.stderr)
    return EXIT_CONFIGURATION if isinstance(error, ConfigurationError) else EXIT_FAILURE

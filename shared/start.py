"""How both daemons start, and how they end: with clear errors, and an exit status that means something.

A daemon is mostly started with nothing on its command line, or with a configuration file. What reads command lines, and
the commands that are on it, are not loaded then: they would take two megabytes for years.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import ConfigurationError, SelfhostError

if TYPE_CHECKING:
    from shared.config import DaemonSettings
    from shared.daemon import Daemon

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_CONFIGURATION = 78
"""EX_CONFIG of sysexits.h: a restart will not help; the systemd units know."""


@dataclass(frozen=True, slots=True)
class PlainStart:
    """Nothing is asked for but that the daemon runs."""

    config: Path | None
    """The configuration file that is named."""


def plain_start(arguments: Sequence[str], environ: Mapping[str, str]) -> PlainStart | None:
    """What the daemon is started with. None if anything else is asked for, or might be."""
    if any(name.startswith("_") and name.endswith("_COMPLETE") for name in environ):
        return None  # a shell asks how a command line may go on
    match arguments:
        case []:
            return PlainStart(None)
        case ["--config", file] if file and not file.startswith("-"):
            return PlainStart(Path(file))
    return None


def start(program: str, run: Callable[[Path | None], int], read_command_line: Callable[[], None]) -> int:
    """Run what this process was started for, to its end: the daemon, or what its command line says.

    Gives the exit status of the daemon, which ``run`` gives or a SelfhostError stands for.
    """
    leave_rich_out()
    plain = plain_start(sys.argv[1:], os.environ)
    if plain is None:
        read_command_line()
        return 0
    try:
        _import_aiohttp()
        return status_of(program, lambda: run(plain.config))
    except KeyboardInterrupt:
        # As the reader of command lines ends it.
        print("\nAborted!", file=sys.stderr)
        return EXIT_FAILURE


def _import_aiohttp() -> None:
    """Before anything else does, so that it reads no TLS roots: the daemons give it :mod:`shared.tls`."""
    from shared.tls import roots_left_unread

    with roots_left_unread():
        import aiohttp  # noqa: F401


def leave_rich_out() -> None:
    """Typer brings rich, and structlog imports it wherever it is found: four megabytes that nothing here uses."""
    sys.modules["rich"] = None  # type: ignore[assignment]


def status_of(program: str, work: Callable[[], int]) -> int:
    """The status that ``work`` gives, or that of the SelfhostError that it raises, which is printed."""
    try:
        return work()
    except SelfhostError as error:
        return report_error(program, error)


def report_error(program: str, error: SelfhostError) -> int:
    """Print ``error`` line by line, each with the program's name before it; gives the exit status."""
    for line in str(error).splitlines():
        print(f"{program}: {line}", file=sys.stderr)
    return EXIT_CONFIGURATION if isinstance(error, ConfigurationError) else EXIT_FAILURE


def serve(program: str, settings: "DaemonSettings", opened: "AbstractAsyncContextManager[Daemon]") -> int:
    """Run a daemon to its end, with its logging and systemd's notifications; gives the exit status."""
    # Commands that run no daemon start in a blink because they do not import what only a daemon needs.
    from shared.allocator import give_memory_back
    from shared.connections import raise_descriptor_limit
    from shared.daemon import run_daemon
    from shared.logging import configure_logging
    from shared.notify import SystemdNotifier

    give_memory_back()
    raise_descriptor_limit()
    lines = configure_logging(program, log_format=settings.log.format, level=settings.log.level)
    return run_daemon(opened, SystemdNotifier.from_environment(os.environ), lines)

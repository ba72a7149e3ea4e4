"""The entry point of an executor process: lock the process down, load the library, let it serve the socket.

A worker starts it as a file, without site packages and with an empty environment::

    python -I -S /abs/tengo_bridge/executor.py --fd N --parent PID [--memory-bytes N] [--library PATH]

It exits with 0 at the end of the stream, else with 1 and one line on standard error.
"""

import argparse
import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tengo_bridge.errors import BridgeError
from tengo_bridge.library import DEFAULT_PATH, SERVE_STREAM_ENDED, load_library

MAX_OPEN_FILES = 1024

# From <linux/prctl.h>.
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38


class ExecutorError(BridgeError):
    """The process cannot be made a safe place for programs."""


def main() -> int:
    """Serve until the stream ends; gives the exit status."""
    options = read_options(sys.argv[1:])
    try:
        end_with_parent(options.parent)
        leave_signals_to_parent()
        limit_resources(options.memory_bytes)
        drop_privileges()
        library = load_library(options.library)
    except BridgeError as error:
        print(f"executor: {error}", file=sys.stderr)  # noqa: T201
        return 1
    # The library itself says what is wrong with a stream that it refuses.
    return 0 if library.serve(options.fd) == SERVE_STREAM_ENDED else 1


def read_options(arguments: list[str]) -> argparse.Namespace:
    """The command line as values."""
    parser = argparse.ArgumentParser(prog="executor.py", description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="the stream socket to serve")
    parser.add_argument("--parent", type=int, required=True, metavar="PID", help="the worker; if it ends, so does this")
    parser.add_argument("--memory-bytes", type=int, help="the most data memory that this process may take")
    parser.add_argument("--library", type=Path, default=DEFAULT_PATH, metavar="PATH", help="libtengo.so")
    return parser.parse_args(arguments)


def end_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when the worker dies, however it dies."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        raise ExecutorError(f"the worker, process {parent_pid}, is gone")


def leave_signals_to_parent() -> None:
    """Ctrl-C reaches the whole group of processes, and the worker decides what becomes of this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def limit_resources(memory_bytes: int | None) -> None:
    """Bound memory and open files, and leave no memory image behind after a crash."""
    lower_limit(resource.RLIMIT_CORE, 0)
    lower_limit(resource.RLIMIT_NOFILE, MAX_OPEN_FILES)
    if memory_bytes is not None:
        lower_limit(resource.RLIMIT_DATA, memory_bytes)


def lower_limit(limit: int, value: int) -> None:
    """Lower a limit for good; where it is lower already it stays.

    Both the soft and the hard limit, as Go raises the soft one to the hard one where it may.
    """
    _, hard = resource.getrlimit(limit)
    most = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (most, most))


def drop_privileges() -> None:
    """Gain no privileges by starting programs, and let no process of the same user look inside."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_DUMPABLE, 0)


def prctl(option: int, value: int) -> None:
    """The system call prctl(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    unused = ctypes.c_ulong(0)
    if libc.prctl(ctypes.c_int(option), ctypes.c_ulong(value), unused, unused, unused) != 0:
        raise ExecutorError(f"prctl({option}, {value}) fails: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    sys.exit(main())

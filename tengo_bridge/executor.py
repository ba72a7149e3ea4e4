"""The entry point of an executor process: lock the process down, load the library, let it serve the socket.

A worker starts it as a file, without site packages, and with nothing in its environment but perhaps proxies::

    python -I -S /abs/tengo_bridge/executor.py --fd N --parent PID [--memory-bytes N] [--library PATH]

It exits with 0 at the end of the stream, else with 1 and one line on standard error.

Each domain has such a process, so it loads next to nothing: what it needs of pathlib, signal and getopt or argparse it
has from os and from the C library, as these would take two megabytes of each.
"""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from tengo_bridge.errors import BridgeError
from tengo_bridge.library import DEFAULT_PATH, SERVE_STREAM_ENDED, load_library
from tengo_bridge.lockdown import clear_environment, end_with_parent, leave_signals_to_parent, lock_down

OPTIONS = frozenset({"--fd", "--parent", "--memory-bytes", "--library"})


def main() -> int:
    """Serve until the stream ends; gives the exit status."""
    try:
        given = _options(sys.argv[1:])
        stream, parent = int(given["--fd"]), int(given["--parent"])
        memory_bytes = int(given["--memory-bytes"]) if "--memory-bytes" in given else None
    except (KeyError, ValueError) as error:
        return _failed(f"started with wrong options: {error}")
    try:
        return serve(stream, parent, memory_bytes, given.get("--library", DEFAULT_PATH))
    except (BridgeError, OSError) as error:
        return _failed(str(error))


def _options(arguments: list[str]) -> dict[str, str]:
    """The value of each option that is given. Raises ValueError."""
    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    for name in given.keys() - OPTIONS:
        raise ValueError(f"there is no option {name}")
    return given


def _failed(reason: str) -> int:
    print(f"executor: {reason}", file=sys.stderr)  # noqa: T201
    return 1


def serve(stream: int, parent: int, memory_bytes: int | None, library_path: str) -> int:
    """Lock down, and answer frames on the socket ``stream``; gives the exit status. Raises BridgeError, OSError."""
    clear_environment()
    end_with_parent(parent)
    leave_signals_to_parent()
    lock_down(stream, memory_bytes, library_path)
    # The library itself says what is wrong with a stream that it refuses.
    return 0 if load_library(library_path).serve(stream) == SERVE_STREAM_ENDED else 1


if __name__ == "__main__":
    sys.exit(main())

"""The entry point of an executor process: lock the process down, load the library, let it serve the socket.

A worker starts it as a file, without site packages, and with nothing in its environment but perhaps proxies::

    python -I -S /abs/tengo_bridge/executor.py --fd N --parent PID [--memory-bytes N] [--library PATH]

It exits with 0 at the end of the stream, else with 1 and one line on standard error.
"""

import sys
from getopt import GetoptError, getopt
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tengo_bridge.errors import BridgeError
from tengo_bridge.library import DEFAULT_PATH, SERVE_STREAM_ENDED, load_library
from tengo_bridge.lockdown import clear_environment, end_with_parent, leave_signals_to_parent, lock_down

OPTIONS = ("fd=", "parent=", "memory-bytes=", "library=")


def main() -> int:
    """Serve until the stream ends; gives the exit status."""
    try:
        # Not argparse, which takes a megabyte of each executor.
        given = dict(getopt(sys.argv[1:], "", OPTIONS)[0])
        stream, parent = int(given["--fd"]), int(given["--parent"])
        memory_bytes = int(given["--memory-bytes"]) if "--memory-bytes" in given else None
    except (GetoptError, KeyError, ValueError) as error:
        return _failed(f"started with wrong options: {error}")
    try:
        return serve(stream, parent, memory_bytes, Path(given.get("--library", DEFAULT_PATH)))
    except (BridgeError, OSError) as error:
        return _failed(str(error))


def _failed(reason: str) -> int:
    print(f"executor: {reason}", file=sys.stderr)  # noqa: T201
    return 1


def serve(stream: int, parent: int, memory_bytes: int | None, library_path: Path) -> int:
    """Lock down, and answer frames on the socket ``stream``; gives the exit status. Raises BridgeError, OSError."""
    clear_environment()
    end_with_parent(parent)
    leave_signals_to_parent()
    lock_down(stream, memory_bytes, library_path)
    # The library itself says what is wrong with a stream that it refuses.
    return 0 if load_library(library_path).serve(stream) == SERVE_STREAM_ENDED else 1


if __name__ == "__main__":
    sys.exit(main())

"""The entry point of an executor process: lock the process down, load the library, let it serve the socket.

A worker starts it as a file, without site packages, and with nothing in its environment but perhaps proxies::

    python -I -S /abs/tengo_bridge/executor.py --fd N --parent PID [--memory-bytes N] [--library PATH]

It exits with 0 at the end of the stream, else with 1 and one line on standard error.
"""

import argparse
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tengo_bridge.errors import BridgeError
from tengo_bridge.library import DEFAULT_PATH, SERVE_STREAM_ENDED, load_library
from tengo_bridge.lockdown import clear_environment, end_with_parent, leave_signals_to_parent, lock_down


def main() -> int:
    """Serve until the stream ends; gives the exit status."""
    options = read_options(sys.argv[1:])
    try:
        clear_environment()
        end_with_parent(options.parent)
        leave_signals_to_parent()
        lock_down(options.fd, options.memory_bytes, options.library)
        library = load_library(options.library)
    except (BridgeError, OSError) as error:
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


if __name__ == "__main__":
    sys.exit(main())

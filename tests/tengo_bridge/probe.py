"""A process that locks itself down as an executor does, then tries what a program must not be able to do.

Started as a file, like an executor: ``python -I -S probe.py SPECIFICATION``, a JSON object. It writes a JSON object
with the outcome of each attempt: "done", or the name of the error.
"""

import ctypes
import errno
import json
import os
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tengo_bridge.library import DEFAULT_PATH
from tengo_bridge.lockdown import MAX_OPEN_FILES, clear_environment, lock_down

PR_GET_DUMPABLE = 3


def attempts(ask: dict[str, Any]) -> dict[str, Callable[[], object]]:
    """What is tried, by name."""
    secret = Path(ask["secret"])
    return {
        **{f"read {path}": partial(read, path) for path in ask["read"]},
        **{f"list {path}": partial(os.scandir, path) for path in ask["list"]},
        f"write {secret}": lambda: secret.write_text("x"),
        f"truncate {secret}": lambda: os.truncate(secret, 0),
        f"remove {secret}": secret.unlink,
        "make a folder": secret.with_name("made").mkdir,
        "read in a later thread": lambda: in_thread(lambda: read("/etc/passwd")),
        "write to standard input": lambda: os.write(0, b"x"),
        "start a program": lambda: os.posix_spawn("/bin/true", ["true"], {}),
        "listen": lambda: socket.socket().bind(("127.0.0.1", 0)),
        "connect": lambda: socket.socket().connect(("127.0.0.1", ask["port"])),
        "connect to an abstract socket": lambda: socket.socket(socket.AF_UNIX).connect("\0" + ask["abstract"]),
        "signal the parent": lambda: os.kill(os.getppid(), 0),
        "look into the parent": lambda: read(f"/proc/{os.getppid()}/environ"),
        "load the library": lambda: ctypes.CDLL(str(DEFAULT_PATH)),
    }


def outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "done"


def read(path: str) -> None:
    with open(path, "rb") as file:  # noqa: PTH123
        file.read(1)


def in_thread(attempt: Callable[[], object]) -> None:
    errors: list[OSError] = []

    def run() -> None:
        try:
            attempt()
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


def open_descriptors() -> list[int]:
    def is_open(descriptor: int) -> bool:
        try:
            os.fstat(descriptor)
        except OSError:
            return False
        return True

    return [descriptor for descriptor in range(MAX_OPEN_FILES) if is_open(descriptor)]


def main() -> None:
    ask = json.loads(sys.argv[1])
    clear_environment()
    lock_down(ask["stream"], None, DEFAULT_PATH)
    facts = {
        "environment": sorted(os.environ),
        "descriptors": open_descriptors(),
        "input": os.read(0, 1).decode(),
        "dumpable": ctypes.CDLL(None).prctl(PR_GET_DUMPABLE),
    }
    json.dump(facts | {name: outcome(attempt) for name, attempt in attempts(ask).items()}, sys.stdout)


if __name__ == "__main__":
    main()

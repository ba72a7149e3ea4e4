"""What is on record, but not in its database yet: rows in a file beside that of SQLite.

A row that is appended here outlives the end of the process, however sudden, just as what SQLite has committed without
waiting for the disk. It takes microseconds, and on the spot, where a transaction takes hundreds and two changes of
thread. The record's writer brings what is here into the database a moment later, many rows at once, and a run that has
ended by then once instead of twice. What a manager that was killed left here is brought there when the next one starts.

The first line has the names of the columns, each other line is a row, both in JSON. After a power cut the end may be
missing, or be nonsense: what stands before that counts.
"""

import errno
import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import structlog
from pydantic_core import to_json

from juvuln.database import sqlite_path
from juvuln.runs.rows import COLUMNS, Row

SUFFIX = "-pending"
"""Of the file's name, behind that of the database."""
ROOM_BYTES = 4 * 1024 * 1024
"""With so much in it, rows go straight into the database until it is empty again."""

log = structlog.get_logger()


class PendingRows:
    """Open it with :func:`open_pending`. Nobody else writes to its file meanwhile."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._size_bytes = os.fstat(descriptor).st_size
        self._lines: list[bytes] = []
        """Not in the file yet."""
        self._is_failing = False
        self.added = 0
        """How many rows so far."""

    @property
    def has_room(self) -> bool:
        return self._size_bytes < ROOM_BYTES

    @property
    def has_unwritten(self) -> bool:
        """Whether rows were added that are not in the file yet."""
        return bool(self._lines)

    def read(self) -> list[Row]:
        """What an earlier life left, in the order in which it came. Raises OSError."""
        with open(self._descriptor, "rb", closefd=False) as file:
            file.seek(0)
            lines = file.read().splitlines()
        rows: list[Row] = []
        try:
            names = json.loads(lines[0]) if lines else ()
            rows.extend(_row(names, line) for line in lines[1:])
        except (ValueError, TypeError):
            log.warning("pending_rows_cut_off", left=len(rows), note="as by a power cut; what came later is gone")
        return rows

    def add(self, row: Row) -> None:
        """Have a row written with the next :meth:`write`."""
        self._lines.append(to_json(row))
        self.added += 1

    def write(self) -> bool:
        """Write what was added, now. False if that cannot be done; then nothing of it is in the file."""
        head = () if self._size_bytes else (to_json(COLUMNS),)
        data = b"\n".join((*head, *self._lines, b""))
        self._lines.clear()
        try:
            self._append(data)
        except OSError as error:
            if not self._is_failing:
                log.warning("pending_rows_not_written", reason=error.strerror)
            self._is_failing = True
            return False
        self._is_failing = False
        return True

    def _append(self, data: bytes) -> None:
        """All of it or nothing. Raises OSError."""
        before_bytes = self._size_bytes
        self._size_bytes = ROOM_BYTES  # should it break, nothing is to come after the broken line
        try:
            written = os.write(self._descriptor, data)
            if written < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            os.ftruncate(self._descriptor, before_bytes)
            self._size_bytes = before_bytes
            raise
        self._size_bytes = before_bytes + written

    def clear(self) -> None:
        """Forget all rows that were written: they are in the database."""
        if self._size_bytes:
            os.ftruncate(self._descriptor, 0)
            self._size_bytes = 0


def _row(names: Sequence[str], line: bytes) -> Row:
    """Of another version's line too, as far as its columns are known. Raises ValueError, TypeError."""
    values = zip(names, json.loads(line), strict=True)
    return Row(**{name: value for name, value in values if name in COLUMNS})


@contextmanager
def open_pending(url: str) -> Iterator[PendingRows | None]:
    """The file for a record in SQLite that is there; None for one in PostgreSQL, where neighbours must see each run.

    There is none either while another process has it open, or if it cannot be opened, which is logged.
    """
    if not url.startswith("sqlite:"):
        yield None
        return
    path = os.path.realpath(sqlite_path(url)) + SUFFIX
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        log.warning("pending_rows_not_opened", path=path, reason=error.strerror)
        yield None
        return
    try:
        yield PendingRows(descriptor) if _is_ours(descriptor, path) else None
    finally:
        os.close(descriptor)


def _is_ours(descriptor: int, path: str) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        log.info("pending_rows_not_ours", path=path, reason=error.strerror)
        return False
    return True

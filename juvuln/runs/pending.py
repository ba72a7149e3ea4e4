"""What is on record, but not in its database yet: rows in a file beside that of SQLite.

A row that is appended here outlives the end of the process, however sudden, just as what SQLite has committed without
waiting for the disk. It takes microseconds, and on the spot, where a transaction takes hundreds and two changes of
thread. The record's writer brings what is here into the database a moment later, many rows at once, and a run that has
ended by then once instead of twice. What a manager that was killed left here is brought there by the next that opens
the file: only one has it open at a time.

The first line has the names of the columns, each other line is a row, both in JSON. After a power cut lines may be
missing, or be nonsense; the others count.
"""

import errno
import fcntl
import os
import time
from collections.abc import Callable, Mapping, Sequence

import structlog
from pydantic import TypeAdapter
from pydantic_core import from_json, to_json

from juvuln.database import DatabaseError, sqlite_path
from juvuln.runs.rows import COLUMNS, Row
from juvuln.runs.run import Trigger
from juvuln.runs.tables import WHAT
from shared.wire import Outcome

SUFFIX = "-pending"
"""Of the file's name, behind that of the database."""
ROOM_BYTES = 4 * 1024 * 1024
"""What does not fit goes straight into the database."""
CLAIMS_ROOM_BYTES = ROOM_BYTES * 3 // 4
"""With so much in it, only endings of runs that are there already are added: it is soon left alone, and cleared."""
SLOW_SECONDS = 0.05
"""As long as it writes the whole manager waits. Where that took so long it is done without for a while."""
REST_SECONDS = 10.0

log = structlog.get_logger()


class PendingRows:
    """Open it with :func:`open_pending`."""

    def __init__(self, descriptor: int, now_seconds: Callable[[], float] = time.monotonic) -> None:
        self._descriptor = descriptor
        self._now_seconds = now_seconds
        self._written_bytes = os.fstat(descriptor).st_size
        self._lines: list[bytes] = []
        """Not in the file yet."""
        self._lines_bytes = 0
        self._ids: set[str] = set()
        """Of the runs that were added since it was cleared."""
        self._must_be_cleared = False
        """Before anything is added: there is half a line at its end, or what an earlier owner left, of any version."""
        self._is_failing = False
        self._rests_until_seconds = 0.0
        self.added = 0
        """How many rows so far."""

    @property
    def has_lines(self) -> bool:
        """Whether rows were added that are not in the file yet."""
        return bool(self._lines)

    def read(self) -> list[Row]:
        """What an earlier owner left: of each run how it ended, or else its claim. Raises DatabaseError."""
        try:
            with open(self._descriptor, "rb", closefd=False) as file:
                file.seek(0)
                head, *lines = file.read().splitlines() or [b""]
        except OSError as error:
            raise DatabaseError(WHAT, f"its file of pending rows: {error.strerror}") from error
        if not head:
            return []
        self._must_be_cleared = True
        found: dict[str, Row] = {}
        bad = 0
        read = _reading(head)
        for line in lines:
            try:
                row = read(line)
            except ValueError:
                bad += 1
                continue
            if row.id not in found or found[row.id].outcome is None:
                found[row.id] = row
        log.info("pending_rows_found", runs=len(found))
        if bad:
            log.warning("pending_rows_unreadable", rows=bad, note="as after a power cut")
        return list(found.values())

    def add(self, row: Row) -> bool:
        """Have a row written with the next :meth:`write`. False if it is not to be in the file."""
        size_bytes = self._written_bytes + self._lines_bytes
        if self._must_be_cleared or size_bytes + row.text_bytes > ROOM_BYTES:
            return False
        if size_bytes > CLAIMS_ROOM_BYTES and row.id not in self._ids:
            return False
        if self._rests_until_seconds and self._now_seconds() < self._rests_until_seconds:
            return False
        line = to_json(row)
        self._lines.append(line)
        self._lines_bytes += len(line)
        self._ids.add(row.id)
        self.added += 1
        return True

    def write(self) -> bool:
        """Write what was added, now. False if that cannot be done; then nothing of it is in the file."""
        if not self._lines:
            return True
        head = () if self._written_bytes else (to_json(COLUMNS),)
        data = b"\n".join((*head, *self._lines, b""))
        self._lines.clear()
        self._lines_bytes = 0
        began_seconds = self._now_seconds()
        try:
            self._append(data)
        except OSError as error:
            self._note_failure(error)
            return False
        finally:
            took_seconds = self._now_seconds() - began_seconds
            if took_seconds > SLOW_SECONDS:
                self._rests_until_seconds = began_seconds + took_seconds + REST_SECONDS
                log.warning("pending_rows_slow", seconds=round(took_seconds, 3), rest_seconds=REST_SECONDS)
        self._is_failing = False
        return True

    def _append(self, data: bytes) -> None:
        """All of it or nothing. Raises OSError."""
        self._must_be_cleared = True
        try:
            written = os.write(self._descriptor, data)
            if written < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            os.ftruncate(self._descriptor, self._written_bytes)
            self._must_be_cleared = False
            raise
        self._written_bytes += written
        self._must_be_cleared = False

    def clear(self) -> None:
        """Forget all rows that were written: they are in the database."""
        if not self._written_bytes and not self._must_be_cleared:
            return
        try:
            os.ftruncate(self._descriptor, 0)
        except OSError as error:
            self._must_be_cleared = True
            self._note_failure(error)
            return
        self._written_bytes = 0
        self._ids.clear()
        self._must_be_cleared = False

    def _note_failure(self, error: OSError) -> None:
        if not self._is_failing:
            log.warning("pending_rows_not_written", reason=error.strerror)
        self._is_failing = True

    def close(self) -> None:
        """Nothing more is written after this."""
        self._lines.clear()
        self._must_be_cleared = True
        os.close(self._descriptor)


def _reading(head: bytes) -> Callable[[bytes], Row]:
    """What reads lines of this head. It may be of another version: then columns are missing, or nobody knows them.

    What it gives raises ValueError for a line that is no row.
    """
    rows = TypeAdapter(Row)
    try:
        names = TypeAdapter(list[str]).validate_json(head)
    except ValueError:
        names = list(COLUMNS)

    def read(line: bytes) -> Row:
        row = rows.validate_python(_by_name(names, from_json(line)), strict=True)
        if row.outcome is not None:
            Outcome(row.outcome)
        Trigger(row.trigger)
        return row

    return read


def _by_name(names: Sequence[str], values: object) -> Mapping[str, object]:
    """Raises ValueError."""
    if not isinstance(values, list):
        raise ValueError("not a row")
    return {name: value for name, value in zip(names, values, strict=True) if name in COLUMNS}


def pending_path(url: str) -> str | None:
    """Where the file of a record in SQLite is; one in PostgreSQL has none, as its managers may be on other machines."""
    return os.path.realpath(sqlite_path(url)) + SUFFIX if url.startswith("sqlite:") else None


def open_pending(path: str) -> PendingRows | None:
    """None while another process has it open. Raises DatabaseError if it cannot be opened: it may say what nothing
    else does.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DatabaseError(WHAT, f"{path}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return PendingRows(descriptor)

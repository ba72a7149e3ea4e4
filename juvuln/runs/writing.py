"""The record's transactions, straight on the driver and in few steps.

One is made for every call of a webhook. Through SQLAlchemy that costs several times what the database takes; and on
SQLite, whose steps are taken in a thread, the thread may have to wait at each until the loop lets go of the
interpreter. So many rows travel in one statement: on PostgreSQL as one parameter, JSON that the SQL takes apart; on
SQLite as values, which it takes in half the time that JSON does.
"""

import asyncio
import json
import os
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import chain, repeat
from typing import Any, Protocol

import structlog
from pydantic_core import PydanticSerializationError, to_json

from juvuln.database import RefusedError, connect_sqlite, database_errors, is_same_file, sqlite_path
from juvuln.postgresql import PostgresqlUrl, parse_postgresql_url
from juvuln.runs.migrate import VERSION_TABLE
from juvuln.runs.rows import COLUMNS, FIRST_OF_ENDING, Row
from juvuln.runs.run import Trigger
from juvuln.runs.tables import WHAT

_ENDING_COLUMNS = COLUMNS[FIRST_OF_ENDING:]
_SQLITE_PRAGMAS = ("PRAGMA wal_autocheckpoint = 4000", "PRAGMA cache_size = -8000")
"""In pages of 4 KiB, and in KiB: several times the defaults. Each routine's rows have a place of their own in two
indexes, so that many runs touch many pages; to write such a page back after every few of them takes the most time."""
SYNC_SECONDS = 0.1
"""How soon after its commit what is of webhooks alone is on the disk."""
_PROBE = f"UPDATE {VERSION_TABLE} SET version_num = version_num"  # noqa: S608 - a constant


def _columns(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


_SQLITE_ROWS_AT_ONCE = 256
_SQLITE_FOUND = "SELECT id FROM runs WHERE id IN (SELECT value FROM json_each(?))"
_SQLITE_UNDONE = frozenset(
    {
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_NOTADB,
    }
)
"""Errors with which nothing is committed. After others, as of the disk itself, a commit may have been done."""
_POSTGRESQL_INSERT = (
    f"INSERT INTO runs ({_columns(COLUMNS)}) SELECT {_columns(COLUMNS)}"  # noqa: S608
    " FROM json_populate_recordset(NULL::runs, $1::json) ON CONFLICT DO NOTHING RETURNING id"
)
_POSTGRESQL_CLOSE = (
    f"UPDATE runs SET {', '.join(f'{name} = given.{name}' for name in _ENDING_COLUMNS)}"  # noqa: S608
    " FROM json_populate_recordset(NULL::runs, $1::json) AS given WHERE runs.id = given.id AND runs.outcome IS NULL"
)


log = structlog.get_logger()


class Writing(Protocol):
    async def write(self, new: Sequence[Row], endings: Sequence[Row], come_into_doubt: Callable[[], None]) -> set[str]:
        """Put runs on record and close others, in one transaction. Each ending comes as the whole row of its run, which
        SQLite puts on record should it be gone.

        Gives the ids of those that were not on record yet, by id or due time; the others are left alone, as are runs
        that are closed already. With nothing to write, tries whether the database can be written. ``come_into_doubt``
        is called when it is not certain any more that nothing is written, should this fail. Raises DatabaseError,
        RefusedError.
        """

    async def close(self) -> None:
        """To be called when nothing is being written."""


def open_writing(url: str) -> Writing:
    """For a record that is there, in this version's form. Nothing is connected yet. Raises ConfigurationError."""
    if url.startswith("sqlite:"):
        return SqliteWriting(sqlite_path(url))
    # Not before there is something in PostgreSQL: it loads the driver.
    from juvuln.postgresql_connection import connect

    return PostgresqlWriting(parse_postgresql_url(url), connect)


class SqliteWriting:
    """A connection in a thread of its own; the loop waits for whole transactions.

    A commit outlives the end of this process, however sudden. One with anything but webhooks in it outlives a power cut
    as well, for no due time may be run twice; what is of webhooks alone does a tenth of a second later.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="record")
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._waits_for_disk = True
        """Whether the connection does so at each commit."""
        self._syncing: asyncio.Task[None] | None = None

    async def write(self, new: Sequence[Row], endings: Sequence[Row], come_into_doubt: Callable[[], None]) -> set[str]:
        loop = asyncio.get_running_loop()
        to_disk = not (new or endings) or any(row.trigger != Trigger.WEBHOOK for row in chain(new, endings))
        with database_errors(WHAT):
            added = await loop.run_in_executor(self._thread, self._write, new, endings, to_disk, come_into_doubt)
        if not to_disk and self._syncing is None:
            self._syncing = loop.create_task(self._sync())
        return added

    async def _sync(self) -> None:
        """Have what was committed without waiting for the disk be there, too."""
        await asyncio.sleep(SYNC_SECONDS)
        self._syncing = None
        await asyncio.to_thread(_sync_log, self._path)

    async def close(self) -> None:
        if self._syncing is not None:
            self._syncing.cancel()
            await asyncio.to_thread(_sync_log, self._path)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown()

    def _write(
        self, new: Sequence[Row], endings: Sequence[Row], to_disk: bool, come_into_doubt: Callable[[], None]
    ) -> set[str]:
        connection = self._connected()
        try:
            if to_disk is not self._waits_for_disk:
                connection.execute(f"PRAGMA synchronous = {'FULL' if to_disk else 'NORMAL'}")
                self._waits_for_disk = to_disk
            changed = _put(connection, [*new, *endings])
            ids = {row.id for row in new}
            if changed == len(ids) + len({row.id for row in endings}):
                return ids
            come_into_doubt()  # as it is committed
            # Some were there already. A run that was there under its own id counts as new to nobody: ids are made once.
            return {run_id for (run_id,) in connection.execute(_SQLITE_FOUND, [json.dumps(list(ids))])}
        except BaseException as error:
            if isinstance(error, sqlite3.Error) and not _is_undone(error):
                come_into_doubt()
            self._disconnect()
            raise

    def _connected(self) -> sqlite3.Connection:
        if self._connection is not None and not is_same_file(self._path, self._inode):
            self._disconnect()
        if self._connection is None:
            self._connection = connect_sqlite(self._path)
            for pragma in _SQLITE_PRAGMAS:
                self._connection.execute(pragma)
            self._inode = os.stat(self._path).st_ino  # noqa: PTH116
            self._waits_for_disk = True
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class PostgresqlWriting:
    """A connection of its own, held as long as it is good."""

    def __init__(self, url: PostgresqlUrl, connect: Callable[[PostgresqlUrl], Awaitable[Any]]) -> None:
        self._url = url
        self._connect = connect
        self._connection: Any = None

    async def write(self, new: Sequence[Row], endings: Sequence[Row], come_into_doubt: Callable[[], None]) -> set[str]:
        with database_errors(WHAT):
            connection = await self._connected()
            try:
                return await _write_to_postgresql(connection, new, endings, come_into_doubt)
            except BaseException:
                # What became of a transaction that broke off is for the server to find out.
                connection.terminate()
                raise

    async def close(self) -> None:
        if self._connection is not None and not self._connection.is_closed():
            self._connection.terminate()

    async def _connected(self) -> Any:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect(self._url)
        return self._connection


async def _write_to_postgresql(
    connection: Any, new: Sequence[Row], endings: Sequence[Row], come_into_doubt: Callable[[], None]
) -> set[str]:
    await connection.execute("BEGIN")
    added = {row["id"] for row in await connection.fetch(_POSTGRESQL_INSERT, _claims_json(new))} if new else set()
    if endings:
        await connection.execute(_POSTGRESQL_CLOSE, _endings_json(endings))
    if not new and not endings:
        await connection.execute(_PROBE)
    come_into_doubt()
    await connection.execute("COMMIT")
    return added


def _sync_log(path: str) -> None:
    """Have on the disk what SQLite has committed to the log beside its file."""
    try:
        descriptor = os.open(f"{os.path.realpath(path)}-wal", os.O_RDONLY)
    except FileNotFoundError:
        return  # whoever closed it last has written it to the file, and waited for that
    try:
        os.fdatasync(descriptor)
    except OSError as error:
        log.error("record_not_synced", reason=error.strerror)
    finally:
        os.close(descriptor)


def _put(connection: sqlite3.Connection, rows: Sequence[Row]) -> int:
    """Gives how many rows were added or closed."""
    portions = list(_portions(rows))
    if not portions:
        connection.execute(_PROBE)
        return 0
    if len(portions) == 1:
        # A transaction of its own. In it the thread lets go of the interpreter once, and waits once to get it back.
        return _put_portion(connection, portions[0])
    connection.execute("BEGIN IMMEDIATE")
    changed = sum(_put_portion(connection, portion) for portion in portions)
    connection.execute("COMMIT")
    return changed


def _put_portion(connection: sqlite3.Connection, rows: Sequence[Row]) -> int:
    return connection.execute(_sqlite_put(len(rows)), list(chain.from_iterable(rows))).rowcount


def _portions(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Of sizes that are powers of two, so that there are few statements, and each is prepared once.

    What is missing is filled up with the last row: said twice it means the same.
    """
    for start in range(0, len(rows), _SQLITE_ROWS_AT_ONCE):
        portion = rows[start : start + _SQLITE_ROWS_AT_ONCE]
        size = 1 << (len(portion) - 1).bit_length()
        yield [*portion, *repeat(portion[-1], size - len(portion))]


@cache
def _sqlite_put(rows: int) -> str:
    """Adds runs, and closes those that are there and open if theirs is closed. Of several endings the first counts, and
    the row of one whose run is not there, as in a file that was put back from a backup, is added as it is.

    OR ROLLBACK, since after an error nothing is kept anyway: otherwise SQLite notes down how each page was before.
    """
    changes = ", ".join(f"{name} = excluded.{name}" for name in _ENDING_COLUMNS)
    return (
        f"INSERT OR ROLLBACK INTO runs ({_columns(COLUMNS)}) VALUES {_places(len(COLUMNS), rows)}"  # noqa: S608
        f" ON CONFLICT (id) DO UPDATE SET {changes} WHERE runs.outcome IS NULL AND excluded.outcome IS NOT NULL"
        " ON CONFLICT DO NOTHING"
    )


def _is_undone(error: sqlite3.Error) -> bool:
    """Whether nothing is written after this; one of Python's module, which has no code, comes before anything is."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF in _SQLITE_UNDONE


def _places(columns: int, rows: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return ", ".join([row] * rows)


def _claims_json(rows: Sequence[Row]) -> str:
    """Without the columns of endings where there is none, since it is values that cost."""
    return _json([dict(zip(COLUMNS, row if row.outcome else row[:FIRST_OF_ENDING], strict=False)) for row in rows])


def _endings_json(rows: Sequence[Row]) -> str:
    """Of the endings of the same run the first, which counts. An update that is given several takes any."""
    firsts = {row.id: row for row in reversed(rows)}.values()
    return _json([{"id": row.id, **dict(zip(_ENDING_COLUMNS, row[FIRST_OF_ENDING:], strict=True))} for row in firsts])


def _json(rows: Sequence[Mapping[str, Any]]) -> str:
    try:
        return to_json(rows, inf_nan_mode="null").decode()  # for which JSON has no word
    except PydanticSerializationError as error:
        raise RefusedError(WHAT, str(error)) from error

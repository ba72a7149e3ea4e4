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
from itertools import groupby, repeat
from typing import Any, Protocol

from pydantic_core import PydanticSerializationError, to_json

from juvuln.database import RefusedError, connect_sqlite, database_errors, is_same_file, sqlite_path
from juvuln.postgresql import PostgresqlUrl, parse_postgresql_url
from juvuln.runs.migrate import VERSION_TABLE
from juvuln.runs.tables import WHAT, runs

Row = Mapping[str, Any]
"""The values of some columns of the table of runs; of the others there are none."""

_COLUMNS = tuple(column.name for column in runs.columns)
_ENDING_COLUMNS = (
    "outcome",
    "ended_ms",
    "reason",
    "started_ms",
    "duration_ms",
    "worker",
    "error",
    "log",
    "modules",
    "request_bytes",
    "answer_bytes",
    "answer_status",
    "attempts",
)
_SQLITE_PRAGMAS = ("PRAGMA wal_autocheckpoint = 4000", "PRAGMA cache_size = -8000")
"""In pages of 4 KiB, and in KiB: several times the defaults. Each routine's rows have a place of their own in two
indexes, so that many runs touch many pages; to write such a page back after every few of them takes the most time."""
_PROBE = f"UPDATE {VERSION_TABLE} SET version_num = version_num"  # noqa: S608 - a constant


def _columns(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


_SQLITE_ROWS_AT_ONCE = 256
_SQLITE_FOUND = "SELECT id FROM runs WHERE id IN (SELECT value FROM json_each(?))"
_POSTGRESQL_INSERT = (
    f"INSERT INTO runs ({_columns(_COLUMNS)}) SELECT {_columns(_COLUMNS)}"  # noqa: S608
    " FROM json_populate_recordset(NULL::runs, $1::json) ON CONFLICT DO NOTHING RETURNING id"
)
_POSTGRESQL_CLOSE = (
    f"UPDATE runs SET {', '.join(f'{name} = given.{name}' for name in _ENDING_COLUMNS)}"  # noqa: S608
    " FROM json_populate_recordset(NULL::runs, $1::json) AS given WHERE runs.id = given.id AND runs.outcome IS NULL"
)


class Writing(Protocol):
    async def write(self, new: Sequence[Row], endings: Sequence[Row], before_commit: Callable[[], None]) -> set[str]:
        """Put runs on record and close others, by their ``id``, in one transaction.

        Gives the ids of those that were not on record yet, by id or due time; the others are left alone, as are runs
        that are closed already. With nothing to write, tries whether the database can be written. ``before_commit`` is
        called when only the commit is to come. Raises DatabaseError, RefusedError.
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
    """A connection in a thread of its own; the loop waits for whole transactions."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="record")
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    async def write(self, new: Sequence[Row], endings: Sequence[Row], before_commit: Callable[[], None]) -> set[str]:
        with database_errors(WHAT):
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, self._write, new, endings, before_commit)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown()

    def _write(self, new: Sequence[Row], endings: Sequence[Row], before_commit: Callable[[], None]) -> set[str]:
        connection = self._connected()
        try:
            connection.execute("BEGIN IMMEDIATE")
            added = _insert(connection, new) if new else set()
            if endings:
                _close(connection, endings)
            if not new and not endings:
                connection.execute(_PROBE)
            before_commit()
            connection.execute("COMMIT")
        except BaseException:
            self._disconnect()
            raise
        return added

    def _connected(self) -> sqlite3.Connection:
        if self._connection is not None and not is_same_file(self._path, self._inode):
            self._disconnect()
        if self._connection is None:
            self._connection = connect_sqlite(self._path)
            for pragma in _SQLITE_PRAGMAS:
                self._connection.execute(pragma)
            self._inode = os.stat(self._path).st_ino  # noqa: PTH116
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

    async def write(self, new: Sequence[Row], endings: Sequence[Row], before_commit: Callable[[], None]) -> set[str]:
        with database_errors(WHAT):
            connection = await self._connected()
            try:
                return await _write_to_postgresql(connection, new, endings, before_commit)
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
    connection: Any, new: Sequence[Row], endings: Sequence[Row], before_commit: Callable[[], None]
) -> set[str]:
    await connection.execute("BEGIN")
    added = {row["id"] for row in await connection.fetch(_POSTGRESQL_INSERT, _json(new))} if new else set()
    if endings:
        await connection.execute(_POSTGRESQL_CLOSE, _json(_firsts(endings)))
    if not new and not endings:
        await connection.execute(_PROBE)
    before_commit()
    await connection.execute("COMMIT")
    return added


def _insert(connection: sqlite3.Connection, new: Sequence[Row]) -> set[str]:
    ids = {row["id"] for row in new}
    added = 0
    for names, rows in groupby(new, key=tuple):
        for portion in _portions(list(rows)):
            added += connection.execute(_sqlite_insert(names, len(portion)), _values(portion, names)).rowcount
    if added == len(ids):
        return ids
    # Some were there already. A run that was there under its own id counts as new to nobody: ids are made once.
    return {run_id for (run_id,) in connection.execute(_SQLITE_FOUND, [json.dumps(list(ids))])}


def _close(connection: sqlite3.Connection, endings: Sequence[Row]) -> None:
    for portion in _portions(_firsts(endings)):
        connection.execute(_sqlite_close(len(portion)), _values(portion, ("id", *_ENDING_COLUMNS)))


def _portions(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Of sizes that are powers of two, so that there are few statements, and each is prepared once.

    What is missing is filled up with the last row: said twice it means the same.
    """
    for start in range(0, len(rows), _SQLITE_ROWS_AT_ONCE):
        portion = rows[start : start + _SQLITE_ROWS_AT_ONCE]
        size = 1 << (len(portion) - 1).bit_length()
        yield [*portion, *repeat(portion[-1], size - len(portion))]


def _values(rows: Sequence[Row], names: Sequence[str]) -> Sequence[Any]:
    return [row[name] for row in rows for name in names]


# OR ROLLBACK, since after an error nothing is kept anyway: otherwise SQLite notes down how each page was before.
@cache
def _sqlite_insert(names: Sequence[str], rows: int) -> str:
    return (
        f"INSERT OR ROLLBACK INTO runs ({_columns(names)}) VALUES {_places(len(names), rows)}"  # noqa: S608
        " ON CONFLICT DO NOTHING"
    )


@cache
def _sqlite_close(rows: int) -> str:
    changes = ", ".join(f"{name} = given.column{number}" for number, name in enumerate(_ENDING_COLUMNS, start=2))
    return (
        f"UPDATE OR ROLLBACK runs SET {changes} FROM (VALUES {_places(1 + len(_ENDING_COLUMNS), rows)}) AS given"  # noqa: S608
        " WHERE runs.id = given.column1 AND runs.outcome IS NULL"
    )


def _places(columns: int, rows: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return ", ".join([row] * rows)


def _firsts(endings: Sequence[Row]) -> Sequence[Row]:
    """Of the endings of the same run the first, which counts. An update that is given several takes any."""
    return list({ending["id"]: ending for ending in reversed(endings)}.values())


def _json(rows: Sequence[Row]) -> str:
    try:
        return to_json(rows, inf_nan_mode="null").decode()  # for which JSON has no word
    except PydanticSerializationError as error:
        raise RefusedError(WHAT, str(error)) from error

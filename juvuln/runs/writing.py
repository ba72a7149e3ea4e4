"""The record's transactions, straight on the driver and in few steps.

One is made for every call of a webhook. Through SQLAlchemy that costs several times what the database takes; and on
SQLite, whose steps are taken in a thread, the thread may have to wait at each until the loop lets go of the
interpreter. So all rows of a kind travel as one parameter, as JSON, and the SQL takes them apart.
"""

import asyncio
import json
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from pydantic_core import PydanticSerializationError, to_json

from juvuln.database import RefusedError, connect_sqlite, database_errors, is_same_file, sqlite_path
from juvuln.postgresql import PostgresqlUrl, connect, parse_postgresql_url
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


def _extracted(name: str) -> str:
    return f"json_extract(given.value, '$.{name}')"


_SQLITE_INSERT = (
    f"INSERT INTO runs ({_columns(_COLUMNS)}) SELECT {', '.join(map(_extracted, _COLUMNS))}"  # noqa: S608 - constants
    " FROM json_each(?) AS given WHERE true ON CONFLICT DO NOTHING"
)
_SQLITE_FOUND = (
    f"SELECT json_group_array(id) FROM runs WHERE id IN (SELECT {_extracted('id')} FROM json_each(?) AS given)"  # noqa: S608
)
_SQLITE_CLOSE = (
    f"UPDATE runs SET {', '.join(f'{name} = {_extracted(name)}' for name in _ENDING_COLUMNS)}"  # noqa: S608
    f" FROM json_each(?) AS given WHERE runs.id = {_extracted('id')} AND runs.outcome IS NULL"
)
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
    return PostgresqlWriting(parse_postgresql_url(url))


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
                connection.execute(_SQLITE_CLOSE, [_json(_firsts(endings))])
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

    def __init__(self, url: PostgresqlUrl) -> None:
        self._url = url
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
            self._connection = await connect(self._url)
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
    rows = _json(new)
    ids = {row["id"] for row in new}
    if connection.execute(_SQLITE_INSERT, [rows]).rowcount == len(ids):
        return ids
    # Some were there already. A run that was there under its own id counts as new to nobody: ids are made once.
    (found,) = connection.execute(_SQLITE_FOUND, [rows]).fetchone()
    return set(json.loads(found))


def _firsts(endings: Sequence[Row]) -> Sequence[Row]:
    """Of the endings of the same run the first, which counts. An update that is given several takes any."""
    return list({ending["id"]: ending for ending in reversed(endings)}.values())


def _json(rows: Sequence[Row]) -> str:
    try:
        return to_json(rows, inf_nan_mode="null").decode()  # for which JSON has no word
    except PydanticSerializationError as error:
        raise RefusedError(WHAT, str(error)) from error

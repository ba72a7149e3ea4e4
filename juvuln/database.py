"""The one place that knows the database drivers: engines from URLs, and every driver's error as one of ours.

PostgreSQL URLs are those of libpq (:mod:`juvuln.postgresql`), SQLite ones are ``sqlite:///`` and a path.
"""

import asyncio
import os
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import aiosqlite
from sqlalchemy import AsyncAdaptedQueuePool, DateTime, Dialect, TypeDecorator, event
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError

from juvuln.async_engine import AsyncConnection, AsyncEngine, create_async_engine
from juvuln.postgresql import CONNECT_TIMEOUT_SECONDS, parse_postgresql_url
from shared.errors import ConfigurationError, SelfhostError

SQLITE_BUSY_TIMEOUT_MS = 5_000
POSTGRESQL_REFUSALS = frozenset({"22", "23", "44", "54", "P0"})
"""Classes of errors that are about values: data, constraints, views, limits, and what a trigger raises."""
# FULL: a commit that was answered outlives a power cut. The record's writer keeps the price low, and does not pay it
# for transactions of webhooks alone (juvuln/runs/writing.py).
SQLITE_PRAGMAS = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON")


class DatabaseError(SelfhostError):
    """A database that is away, refuses us or answers with an error. The text never holds its URL."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"{what}: {reason}")
        self.what = what
        self.reason = reason


class RefusedError(DatabaseError):
    """The database is well, and does not take these values: trying again would change nothing."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, in UTC. SQLite, which knows no zones, keeps it without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime has no place in a database")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or dialect.name != "sqlite":
            return value
        return value.replace(tzinfo=UTC)


def check_database_url(url: str) -> None:
    """Refuse a URL that no engine can be made of. Raises ConfigurationError; the message does not repeat the URL."""
    database_place(url)


def database_kind(url: str) -> str:
    """postgresql or sqlite, for a URL that can be used."""
    return "sqlite" if url.startswith("sqlite:") else "postgresql"


def database_place(url: str) -> str:
    """Where the database is, without credentials: hosts and name, or the file. Raises ConfigurationError."""
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        return sqlite_path(url)
    if scheme in ("postgresql", "postgres") and rest:
        return parse_postgresql_url(url).place
    raise ConfigurationError("a database URL begins with postgresql:// or sqlite:///")


def sqlite_path(url: str) -> str:
    """The file that a SQLite URL names, as it stands there. Raises ConfigurationError."""
    path = url.removeprefix("sqlite:///")
    if path in (url, "", ":memory:"):
        raise ConfigurationError("a SQLite URL is sqlite:///relative/path or sqlite:////absolute/path")
    return path


def open_engine(url: str, *, create: bool = False, pool_size: int = 2, overflow: int = 4) -> AsyncEngine:
    """An engine for a URL. Nothing is connected yet.

    A SQLite file that does not exist is made only with ``create``. Raises ConfigurationError for a bad URL.
    """
    check_database_url(url)
    if url.startswith("sqlite:"):
        return _sqlite_engine(sqlite_path(url), create=create, pool_size=pool_size, overflow=overflow)
    # Not before there is something in PostgreSQL: it loads the driver.
    from juvuln.postgresql_connection import connect

    target = parse_postgresql_url(url)
    return create_async_engine(
        "postgresql+asyncpg://",
        lambda: connect(target),
        pool_size=pool_size,
        max_overflow=overflow,
        pool_pre_ping=True,
        pool_timeout=CONNECT_TIMEOUT_SECONDS,
    )


def _sqlite_engine(path: str, *, create: bool, pool_size: int, overflow: int) -> AsyncEngine:
    address = _sqlite_address(path, create=create)

    def open_once() -> None:
        if create:
            _make_private(path)
        sqlite3.connect(address, uri=True).close()

    async def connect() -> aiosqlite.Connection:
        # A connection that cannot be opened leaves its thread behind for a while; so it is tried without one first.
        await asyncio.to_thread(open_once)
        connection = aiosqlite.connect(address, uri=True, timeout=SQLITE_BUSY_TIMEOUT_MS / 1000)
        # As SQLAlchemy does where it opens the connection: a thread must not keep a process that failed from ending.
        connection._thread.daemon = True
        return await connection

    # Each connection has a thread and a cache of its own, which add up over many domains.
    engine = create_async_engine(
        "sqlite+aiosqlite://",
        connect,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=pool_size,
        max_overflow=overflow,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in SQLITE_PRAGMAS:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine.sync_engine, "connect")
    def remember_file(_connection: Any, record: Any) -> None:
        record.info["inode"] = os.stat(path).st_ino  # noqa: PTH116

    @event.listens_for(engine.sync_engine, "checkout")
    def notice_removal(_connection: Any, record: Any, _proxy: Any) -> None:
        if not is_same_file(path, record.info["inode"]):
            raise DisconnectionError

    return engine


def is_same_file(path: str, inode: int) -> bool:
    """Whether the file that was opened is the one that is there.

    One that was removed or replaced lives on, unseen, as long as somebody has it open.
    """
    try:
        return os.stat(path).st_ino == inode  # noqa: PTH116
    except OSError:
        return False


def connect_sqlite(path: str) -> sqlite3.Connection:
    """A connection to a file that is there, for one thread; its transactions are for the caller to begin and end.

    Raises sqlite3.Error.
    """
    connection = sqlite3.connect(
        _sqlite_address(path, create=False), uri=True, timeout=SQLITE_BUSY_TIMEOUT_MS / 1000, isolation_level=None
    )
    for pragma in SQLITE_PRAGMAS:
        connection.execute(pragma)
    return connection


def _sqlite_address(path: str, *, create: bool) -> str:
    return f"file:{quote(path)}?mode={'rwc' if create else 'rw'}"


def _make_private(path: str) -> None:
    """Make the file, if there is none, such that nobody else can read the programs and the hashes of tokens in it."""
    with suppress(OSError):  # SQLite says what is wrong
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


@contextmanager
def database_errors(what: str) -> Iterator[None]:
    """Turn whatever a driver raises into DatabaseError about ``what``. IntegrityError passes: it is an answer."""
    try:
        yield
    except DBAPIError as error:
        if "IntegrityError" in type(error).__name__:
            raise
        raise DatabaseError(what, _reason(error.orig or error)) from error
    except _driver_errors() as error:
        kind = RefusedError if _is_of_the_values(error) else DatabaseError
        raise kind(what, _reason(error)) from error


def _driver_errors() -> tuple[type[Exception], ...]:
    """What drivers raise. Where asyncpg is not loaded it has raised nothing, and need not be loaded for that."""
    asyncpg = sys.modules.get("asyncpg")
    of_asyncpg = (asyncpg.PostgresError, asyncpg.InterfaceError) if asyncpg else ()
    return (SQLAlchemyError, *of_asyncpg, sqlite3.Error, OSError, ValueError, OverflowError)


def _is_of_the_values(error: Exception) -> bool:
    """Whether what a driver raised is about the values that it was given."""
    sqlstate = getattr(error, "sqlstate", None)
    if isinstance(sqlstate, str):
        return sqlstate[:2] in POSTGRESQL_REFUSALS
    return isinstance(error, sqlite3.IntegrityError | sqlite3.DataError | UnicodeError | OverflowError)


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "did not answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "refuses the connection; is the database running?"
    text = str(error).partition("\n")[0] or type(error).__name__
    # SQLAlchemy prefixes the class of the driver's error: "<class 'asyncpg…'>: text".
    text = text.rpartition(">: ")[2] if text.startswith("<class") else text
    if text == "unable to open database file":
        return "there is no such database file, or it cannot be opened"
    return text


@asynccontextmanager
async def transaction(engine: AsyncEngine, what: str, *, keep: bool = True) -> AsyncIterator[AsyncConnection]:
    """A connection in a transaction that is committed at the end. Unless the engine is to ``keep`` the connection for
    the next, it is closed then. Raises DatabaseError."""
    with database_errors(what):
        async with engine.connect() as connection:
            async with connection.begin():
                yield connection
            if not keep:
                await connection.invalidate()

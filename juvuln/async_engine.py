"""SQLAlchemy's engine for asyncio, as far as it is needed here.

``sqlalchemy.ext.asyncio`` has the same and more, but imports the ORM for its sessions, whatever one wants of it: six
megabytes of code that nothing here makes use of. Like there, each step of the core runs in a greenlet, which hands to
the loop what the asynchronous driver beneath wants to wait for.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, CursorResult, Dialect, Engine, Executable, create_engine
from sqlalchemy.util import greenlet_spawn

P = ParamSpec("P")
T = TypeVar("T")


def create_async_engine(url: str, connect: Callable[[], Awaitable[Any]], **options: Any) -> "AsyncEngine":
    """An engine with the driver that ``url`` names, whose connections ``connect`` makes. Nothing is connected yet."""

    def connect_now() -> Any:
        driver: Any = engine.dialect.dbapi
        return driver.connect(async_creator_fn=connect)

    engine = create_engine(url, creator=connect_now, **options)
    return AsyncEngine(engine)


class AsyncTransaction:
    """Begins when it is entered; at the end it is committed, or rolled back after an exception."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def __aenter__(self) -> None:
        self._transaction = await greenlet_spawn(self._connection.begin)
        self._transaction.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await greenlet_spawn(self._transaction.__exit__, kind, error, traceback)


class AsyncRows:
    """The rows of a query, fetched as they are asked for."""

    def __init__(self, result: "CursorResult[*tuple[Any, ...]]") -> None:
        self._result = result

    async def partitions(self, size: int) -> AsyncIterator[Sequence[Any]]:
        """Up to ``size`` at a time."""
        while rows := await greenlet_spawn(self._result.fetchmany, size):
            yield rows


class AsyncConnection:
    """Opened by :meth:`AsyncEngine.connect`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def dialect(self) -> Dialect:
        return self._connection.dialect

    @property
    def info(self) -> dict[Any, Any]:
        """What is noted of the connection to the database, for as long as that is open."""
        return self._connection.info

    def begin(self) -> AsyncTransaction:
        return AsyncTransaction(self._connection)

    async def execute(
        self, statement: Executable, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> "CursorResult[*tuple[Any, ...]]":
        """The result, with all of its rows."""
        return await _result(self._connection.execute, statement, parameters)

    async def exec_driver_sql(self, statement: str) -> "CursorResult[*tuple[Any, ...]]":
        """The same for SQL that goes to the driver as it stands."""
        return await _result(self._connection.exec_driver_sql, statement)

    @asynccontextmanager
    async def stream(self, statement: Executable) -> AsyncIterator[AsyncRows]:
        """The result, of which no more is fetched than is asked for."""
        options = {"stream_results": True}
        result = await greenlet_spawn(self._connection.execute, statement, execution_options=options)
        try:
            yield AsyncRows(result)
        finally:
            await _to_the_end(greenlet_spawn(result.close))

    async def run_sync(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **options: P.kwargs) -> T:
        """Have ``work`` do with the connection what is not asynchronous in SQLAlchemy."""
        return await greenlet_spawn(lambda: work(self._connection, *args, **options))

    async def driver_connection(self) -> Any:
        """The connection as the driver has it."""
        pooled = await greenlet_spawn(getattr, self._connection, "connection")
        return pooled.driver_connection

    async def invalidate(self) -> None:
        """Close the connection to the database: nobody gets it from the pool any more."""
        await greenlet_spawn(self._connection.invalidate)


class AsyncEngine:
    """Made by :func:`create_async_engine`."""

    def __init__(self, sync_engine: Engine) -> None:
        self.sync_engine = sync_engine
        """For listening to its events."""

    @property
    def dialect(self) -> Dialect:
        return self.sync_engine.dialect

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """A connection from the pool, which takes it back at the end; what was not committed is rolled back."""
        connection = await greenlet_spawn(self.sync_engine.connect)
        try:
            yield AsyncConnection(connection)
        finally:
            await _to_the_end(greenlet_spawn(connection.close))

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction that is committed at the end."""
        async with self.connect() as connection, connection.begin():
            yield connection

    async def dispose(self) -> None:
        """Close all connections that are in the pool."""
        await greenlet_spawn(self.sync_engine.dispose)


async def _result(
    execute: "Callable[..., CursorResult[*tuple[Any, ...]]]", *arguments: Any
) -> "CursorResult[*tuple[Any, ...]]":
    result = await greenlet_spawn(execute, *arguments)
    cursor: Any = result.cursor
    if cursor is not None:
        # All rows are there. The driver's cursor has to be closed now, as whoever takes them out does not wait.
        await cursor._async_soft_close()
    return result


async def _to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Wait for ``work`` even where this task is cancelled meanwhile; only then it is.

    A connection that is halfway back in its pool when the caller goes on may get there after the pool was closed.
    """
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    return task.result()

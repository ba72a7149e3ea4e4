"""A PostgreSQL of the round's own, behind a proxy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg

from tests.chaos.proxy import Proxy, to_socket
from tests.support.databases import PostgresServer
from tests.support.waiting import free_port


class ProxiedPostgres:
    """Makes databases whose URLs lead through a proxy. Open it with :func:`open_postgres`."""

    kind = "postgresql"

    def __init__(self, server: PostgresServer, proxy: Proxy, own_url: str) -> None:
        self.server = server
        self.proxy = proxy
        self._own_url = own_url

    async def create(self) -> str:
        name = urlsplit(await self.server.create()).path
        return f"postgresql://postgres@127.0.0.1:{self.proxy.port}{name}"

    def direct(self, url: str) -> str:
        """The URL of a database past the proxy."""
        return urlsplit(self._own_url)._replace(path=urlsplit(url).path).geturl()

    async def refuse_writes(self, refused: bool) -> None:
        """As a hosted PostgreSQL does whose disk is full."""
        await self.set("default_transaction_read_only", "on" if refused else "off")

    async def set(self, setting: str, value: str) -> None:
        """Change a setting of the server, in force at once."""
        connection = await asyncpg.connect(self._own_url)
        try:
            await connection.execute(f"ALTER SYSTEM SET {setting} = {value}")
            await connection.execute("SELECT pg_reload_conf()")
        finally:
            await connection.close()


@asynccontextmanager
async def open_postgres(folder: Path) -> AsyncIterator[ProxiedPostgres]:
    server = PostgresServer(folder)
    try:
        own_url = await server.create()
        (socket_folder,) = parse_qs(urlsplit(own_url).query)["host"]
        proxy = Proxy(to_socket(f"{socket_folder}/.s.PGSQL.5432"), free_port())
        await proxy.accept()
        postgres = ProxiedPostgres(server, proxy, own_url)
        # Processes are killed here, not the machine: what was written to a file stays, and need not wait for the disk.
        await postgres.set("fsync", "off")
        yield postgres
        await proxy.refuse()
    finally:
        server.close()

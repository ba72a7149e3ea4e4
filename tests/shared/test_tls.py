"""Servers are verified by the same roots as ever, though these are read late."""

import asyncio
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import uvloop
from aiohttp import web

from shared.tls import roots_left_unread, system_roots

LOCALHOST_PEM = Path(__file__).parent.parent / "tengo_bridge" / "localhost.pem"
"""A certificate for localhost that signs itself, and its key."""

AS_A_DAEMON = """
import os, sys
from shared.start import start

def run(config):
    from aiohttp import connector
    roots = connector._SSL_CONTEXT_VERIFIED.cert_store_stats()["x509"]
    print(roots, os.environ.get("SSL_CERT_FILE"))
    return 0

sys.argv = ["daemon"]
start("daemon", run, lambda: None)
"""

on_both_loops = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])


@asynccontextmanager
async def secured_server() -> AsyncIterator[int]:
    """The port of a server on localhost with a certificate that nobody knows."""

    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(LOCALHOST_PEM)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def greeting(host: str = "localhost") -> str:
    connector = aiohttp.TCPConnector(ssl=system_roots())
    async with (
        secured_server() as port,
        aiohttp.ClientSession(connector=connector) as session,
        session.get(f"https://{host}:{port}/") as answer,
    ):
        return await answer.text()


def outcome(new_loop: Callable[[], asyncio.AbstractEventLoop], host: str = "localhost") -> str:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        # What the loop says of a connection that is refused is the server's affair.
        runner.get_loop().set_exception_handler(lambda _loop, _context: None)
        return runner.run(greeting(host))


@on_both_loops
def test_a_server_is_trusted_whose_roots_are_named(
    new_loop: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(LOCALHOST_PEM))
    assert outcome(new_loop) == "hello"


@on_both_loops
def test_nobody_else_is_trusted(
    new_loop: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        outcome(new_loop)
    monkeypatch.setenv("SSL_CERT_FILE", str(LOCALHOST_PEM))
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        outcome(new_loop, host="127.0.0.1")  # which the certificate is not for


def test_what_is_used_otherwise_than_by_loops_trusts_nobody() -> None:
    context = system_roots()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.cert_store_stats()["x509"] == 0


@pytest.mark.parametrize("named", [None, str(LOCALHOST_PEM)])
def test_the_environment_is_left_as_it_was(named: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    if named is not None:
        monkeypatch.setenv("SSL_CERT_FILE", named)
    with roots_left_unread():
        assert os.environ["SSL_CERT_FILE"] == os.devnull
    assert os.environ.get("SSL_CERT_FILE") == named


def test_a_daemon_reads_no_roots_as_it_starts() -> None:
    environ = {**os.environ, "SSL_CERT_FILE": str(LOCALHOST_PEM)}
    ended = subprocess.run(
        [sys.executable, "-c", AS_A_DAEMON], env=environ, capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout == f"0 {LOCALHOST_PEM}\n"

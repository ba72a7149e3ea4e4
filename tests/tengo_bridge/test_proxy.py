"""The proxy variables of an executor's environment, which count only if the configuration says so."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from tengo_bridge.frames import Frame, Kind

from .process import PATIENCE_SECONDS, executor_process

SOURCE = (
    'r := import("http").get("http://nowhere.invalid/x"); import("log").info(is_error(r) ? "error" : string(r.Body))'
)


@contextmanager
def one_answer() -> Iterator[tuple[int, list[bytes]]]:
    """A proxy that answers one request with "from the proxy"; its port, and what it was asked."""
    asked: list[bytes] = []

    def answer() -> None:
        try:
            connection, _ = server.accept()
        except OSError:
            return  # nobody has called
        with connection:
            asked.append(connection.recv(65536).split(b"\r\n")[0])
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\nConnection: close\r\n\r\nfrom the proxy")

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE_SECONDS)
        thread = Thread(target=answer)
        thread.start()
        try:
            yield server.getsockname()[1], asked
        finally:
            server.shutdown(socket.SHUT_RDWR)  # ends a wait that was in vain
            thread.join()


@pytest.mark.parametrize(("proxy", "logged"), [(True, "from the proxy"), (False, "error")])
def test_the_proxy_of_the_environment_is_asked_only_if_it_is_configured(proxy: bool, logged: str) -> None:
    with one_answer() as (port, asked):
        environment = {"HTTP_PROXY": f"http://127.0.0.1:{port}"}
        with executor_process("--memory-bytes", str(512 << 20), environment=environment) as executor:
            ready = executor.receive()
            assert ready is not None
            executor.send(Frame(Kind.CONFIGURE, 0, {"egress": {"proxy": proxy}}))
            executor.compile(SOURCE)
            log = executor.run()
            assert log is not None
            assert log.meta["message"] == logged
    assert asked == ([b"GET http://nowhere.invalid/x HTTP/1.1"] if proxy else [])

"""systemd's side of the notification protocol, played by a real datagram socket."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
import structlog

from shared.notify import SystemdNotifier


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "notify") if request.param == "path" else f"@selfhost-test-{uuid4().hex}"


@pytest.fixture
def service_manager(address: str) -> Iterator[socket.socket]:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener:
        listener.bind("\0" + address[1:] if address.startswith("@") else address)
        listener.settimeout(10)
        yield listener


def test_a_message_reaches_the_service_manager(address: str, service_manager: socket.socket) -> None:
    SystemdNotifier.from_environment({"NOTIFY_SOCKET": address}).send("READY=1")
    assert service_manager.recv(100) == b"READY=1"


def test_without_a_service_manager_nothing_is_sent() -> None:
    SystemdNotifier.from_environment({}).send("READY=1")
    SystemdNotifier.from_environment({"NOTIFY_SOCKET": ""}).send("READY=1")


def test_a_service_manager_that_is_gone_is_logged_and_survived(tmp_path: Path) -> None:
    notifier = SystemdNotifier.from_environment({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    with structlog.testing.capture_logs() as logs:
        notifier.send("READY=1")
    assert [entry["event"] for entry in logs] == ["service_manager_not_told"]


def test_a_service_manager_that_does_not_listen_is_not_waited_for(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as deaf, structlog.testing.capture_logs() as logs:
        deaf.bind(address)
        notifier = SystemdNotifier.from_environment({"NOTIFY_SOCKET": address})
        for _ in range(2000):
            if logs:
                break
            notifier.send("WATCHDOG=1")
    assert [entry["event"] for entry in logs] == ["service_manager_not_told"]


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_the_environments_if_it_is_meant_for_this_process(
    environ: dict[str, str], seconds: float | None
) -> None:
    assert SystemdNotifier.from_environment(environ).watchdog_seconds == seconds


async def test_the_watchdog_hears_from_a_loop_that_turns(address: str, service_manager: socket.socket) -> None:
    notifier = SystemdNotifier(address, watchdog_seconds=0.02)
    alive = asyncio.create_task(notifier.keep_alive())
    heard = [await asyncio.to_thread(service_manager.recv, 100) for _ in range(3)]
    alive.cancel()
    await asyncio.wait({alive})
    assert heard == [b"WATCHDOG=1"] * 3


async def test_without_a_watchdog_keeping_alive_has_nothing_to_do() -> None:
    await SystemdNotifier(None, None).keep_alive()

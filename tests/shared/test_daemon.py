"""The life of a daemon, with real signals to a real process."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from shared.daemon import supervise

LIMIT_SECONDS = 20
FOR_EVER = 3600.0


class Little:
    """A running little_daemon.py."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._told: list[str] = []

    async def tells(self, what: str) -> None:
        """Wait until the daemon tells ``what``."""
        assert self._process.stdout is not None
        async with asyncio.timeout(LIMIT_SECONDS):
            while what not in self._told:
                line = await self._process.stdout.readline()
                assert line, f"ended without telling {what!r}; told {self._told}"
                self._told.append(line.decode().strip())

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def end(self) -> tuple[int, list[str], list[str]]:
        """The exit status, all that it told, and the events that it logged."""
        async with asyncio.timeout(LIMIT_SECONDS):
            out, err = await self._process.communicate()
        status = self._process.returncode
        assert status is not None
        events = [str(json.loads(line)["event"]) for line in err.decode().splitlines()]
        return status, self._told + out.decode().split("\n")[:-1], events


@asynccontextmanager
async def little(
    *, start_seconds: float = 0, drain_seconds: float = 0, notify_socket: str = ""
) -> AsyncIterator[Little]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        Path(__file__).with_name("little_daemon.py"),
        str(start_seconds),
        str(drain_seconds),
        env={**os.environ, "NOTIFY_SOCKET": notify_socket},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Little(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_drains_closes_and_ends_well(number: signal.Signals) -> None:
    async with little() as daemon:
        await daemon.tells("open")
        daemon.signal(number)
        assert await daemon.end() == (
            0,
            ["opening", "open", "draining", "drained", "closed"],
            ["daemon_stopping", "daemon_stopped"],
        )


async def test_a_stop_that_comes_while_the_daemon_starts_is_not_lost() -> None:
    async with little(start_seconds=0.2) as daemon:
        await daemon.tells("opening")
        daemon.signal(signal.SIGTERM)
        status, told, _ = await daemon.end()
        assert (status, told[-1]) == (0, "closed")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_the_drain_and_shows_in_the_exit_status(number: signal.Signals) -> None:
    async with little(drain_seconds=FOR_EVER) as daemon:
        await daemon.tells("open")
        daemon.signal(signal.SIGINT)
        await daemon.tells("draining")
        daemon.signal(number)
        status, told, _ = await daemon.end()
        assert (status, told) == (1, ["opening", "open", "draining", "closed"])


async def test_a_reload_that_fails_is_logged_and_the_next_one_works() -> None:
    async with little() as daemon:
        await daemon.tells("open")
        daemon.signal(signal.SIGHUP)
        await daemon.tells("reload 1")
        daemon.signal(signal.SIGHUP)
        await daemon.tells("reload 2")
        daemon.signal(signal.SIGTERM)
        status, _, events = await daemon.end()
        assert (status, events[:2]) == (0, ["reload_failed", "reloaded"])


async def test_the_service_manager_is_told_of_the_beginning_and_of_the_end(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as service_manager:
        service_manager.bind(address)
        service_manager.settimeout(LIMIT_SECONDS)
        async with little(notify_socket=address) as daemon:
            assert await asyncio.to_thread(service_manager.recv, 100) == b"READY=1"
            daemon.signal(signal.SIGTERM)
            assert await asyncio.to_thread(service_manager.recv, 100) == b"STOPPING=1"
            assert (await daemon.end())[0] == 0


async def test_supervised_work_that_fails_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.daemon.FIRST_RESTART_SECONDS", 0.001)
    attempts = 0

    async def work() -> None:
        nonlocal attempts
        attempts += 1
        if attempts < 4:
            raise RuntimeError("not yet")

    async with asyncio.timeout(LIMIT_SECONDS):
        await supervise("work", work)
    assert attempts == 4


async def test_supervised_work_that_is_cancelled_ends() -> None:
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.sleep(FOR_EVER)

    task = asyncio.create_task(supervise("work", work))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

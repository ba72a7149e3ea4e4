"""systemd's notification protocol (sd_notify(3)): ready, stopping, reloading, alive."""

import asyncio
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SystemdNotifier:
    """Tells the service manager how the daemon fares; does nothing where there is none."""

    address: str | None
    watchdog_seconds: float | None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "SystemdNotifier":
        microseconds = environ.get("WATCHDOG_USEC", "")
        for_us = environ.get("WATCHDOG_PID") in (None, str(os.getpid()))
        watchdog = int(microseconds) / 1e6 if microseconds.isdigit() and for_us else None
        return cls(environ.get("NOTIFY_SOCKET") or None, watchdog)

    def send(self, message: str) -> None:
        """Tell it, or say in the log that it cannot be told: no reason for a daemon to end or to wait."""
        if self.address is None:
            return
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(
                socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
            ) as notify:
                notify.connect(address)
                notify.sendall(message.encode())
        except OSError as error:
            log.warning("service_manager_not_told", message=message, reason=str(error))

    async def keep_alive(self) -> None:
        """Say that the event loop turns, twice in every watchdog period, for ever."""
        if self.watchdog_seconds is None:
            return
        while True:
            self.send("WATCHDOG=1")
            await asyncio.sleep(self.watchdog_seconds / 2)

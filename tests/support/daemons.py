"""A daemon as a process of its own, started by its console script as an operator would."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.waiting import until


class DaemonProcess:
    """A running juvuln or malgomaj. Its log lines are in ``log_path``; ``prefix`` goes before its command."""

    def __init__(
        self, name: str, environ: Mapping[str, str], log_path: Path, port: int, prefix: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.log_path = log_path
        self.environ = environ
        self.prefix = prefix
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the process and wait until it listens."""
        with self.log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.prefix,
                Path(sys.executable).with_name(self.name),
                env={"PATH": os.environ["PATH"], "HOME": str(self.log_path.parent), **self.environ},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        await until(self._listens_or_ended, f"{self.name} listens; its log:\n{self.log_text()}")
        assert self.process.returncode is None, self.log_text()

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    async def _listens_or_ended(self) -> bool:
        if self.process.returncode is not None:
            return True
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{self.url}/healthz") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def wait(self, limit_seconds: float = 20.0) -> int:
        """The exit status."""
        async with asyncio.timeout(limit_seconds):
            return await self.process.wait()

    async def stop(self) -> int:
        """SIGTERM; gives the exit status."""
        if self.process.returncode is None:
            self.signal(signal.SIGTERM)
        return await self.wait()

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def log_text(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log events of that name."""
        lines = (line for line in self.log_text().splitlines() if line.startswith("{"))
        return [event for event in map(json.loads, lines) if event.get("event") == name]

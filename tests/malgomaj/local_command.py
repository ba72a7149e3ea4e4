"""`malgomaj check` and `malgomaj run` as somebody calls them: in a folder of their own, on files that are in it."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = Path(sys.executable).with_name("malgomaj")
LIMIT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Said:
    status: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class LocalCommand:
    """``folder`` is where it is called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, **files: str | bytes) -> None:
        """Make files: ``write(greet="…")`` makes greet.tengo."""
        for name, code in files.items():
            (self.folder / f"{name}.tengo").write_bytes(code if isinstance(code, bytes) else code.encode())

    async def start(self, *arguments: str, **variables: str) -> Process:
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
        return await asyncio.create_subprocess_exec(
            COMMAND,
            *arguments,
            cwd=self.folder,
            env=environment | variables,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
        )

    async def __call__(self, *arguments: str, stdin: bytes = b"", variables: Mapping[str, str] | None = None) -> Said:
        process = await self.start(*arguments, **(variables or {}))
        async with asyncio.timeout(LIMIT_SECONDS):
            out, err = await process.communicate(stdin)
        assert process.returncode is not None
        return Said(process.returncode, out, err.decode())


def executors_of(pid: int) -> list[int]:
    """The child processes of a process."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in found.split()]

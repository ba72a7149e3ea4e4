"""The commands `juvuln` and `malgomaj` as somebody calls them: as processes, with no more environment than is said."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

JUVULN = Path(sys.executable).with_name("juvuln")
MALGOMAJ = Path(sys.executable).with_name("malgomaj")
LIMIT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Said:
    status: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Command:
    """``folder`` is where it is called, and the user's home unless the variables name another."""

    program: ClassVar[Path]
    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def with_variables(self, **variables: str) -> Self:
        return replace(self, variables={**self.variables, **variables})

    async def start(self, *arguments: str) -> Process:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), **self.variables}
        return await asyncio.create_subprocess_exec(
            self.program, *arguments, cwd=self.folder, env=environment, stdin=PIPE, stdout=PIPE, stderr=PIPE
        )

    @asynccontextmanager
    async def running(self, *arguments: str) -> AsyncIterator[Process]:
        """A command that goes on; it is over at the end of the block."""
        process = await self.start(*arguments)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    async def __call__(self, *arguments: str, stdin: bytes = b"") -> Said:
        async with self.running(*arguments) as process, asyncio.timeout(LIMIT_SECONDS):
            out, err = await process.communicate(stdin)
        assert process.returncode is not None
        return Said(process.returncode, out, err.decode())

    async def good(self, *arguments: str, stdin: bytes = b"") -> Said:
        """The same, where it must end with 0."""
        said = await self(*arguments, stdin=stdin)
        assert said.status == 0, (arguments, said)
        return said


class JuvulnCommand(Command):
    program = JUVULN


class MalgomajCommand(Command):
    program = MALGOMAJ

    def write(self, **files: str | bytes) -> None:
        """Make files: ``write(greet="…")`` makes greet.tengo."""
        for name, code in files.items():
            (self.folder / f"{name}.tengo").write_bytes(code if isinstance(code, bytes) else code.encode())

"""A command at a terminal: what it shows there, and what somebody types."""

import asyncio
import fcntl
import os
import struct
import termios
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from tests.support.waiting import until


class PseudoTerminal:
    """``shown`` is everything that it has shown so far, which includes what was typed while echo was on."""

    def __init__(self, master: int) -> None:
        self._master = master
        self._ended = asyncio.Event()
        self.shown = ""

    def read(self) -> None:
        """Called when there is something to read."""
        try:
            self.shown += os.read(self._master, 65536).decode(errors="replace")
        except OSError:  # nobody is at the terminal any more
            asyncio.get_running_loop().remove_reader(self._master)
            self._ended.set()

    async def ended(self) -> None:
        """Wait until the command has ended, and all is shown that it had to say."""
        await self._ended.wait()

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    async def shows(self, text: str) -> None:
        """Wait until it has shown ``text``."""

        async def seen() -> bool:
            return text in self.shown

        await until(seen, f"the terminal shows {text!r}")


@asynccontextmanager
async def at_terminal(
    command: Sequence[str], environ: Mapping[str, str], columns: int = 80
) -> AsyncIterator[tuple[Process, PseudoTerminal]]:
    """A command whose standard streams are a terminal; it is over at the end of the block."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    terminal = PseudoTerminal(master)
    loop = asyncio.get_running_loop()
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=slave, stdout=slave, stderr=slave, env=environ, start_new_session=True
        )
        os.close(slave)
        loop.add_reader(master, terminal.read)
        yield process, terminal
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        loop.remove_reader(master)
        os.close(master)

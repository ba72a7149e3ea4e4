"""An executor process and the worker's end of its socket."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tengo_bridge import executor
from tengo_bridge.frames import Frame, FrameDecoder, Kind, encode

PATIENCE_SECONDS = 10


@dataclass
class ExecutorProcess:
    process: subprocess.Popen[str]
    socket: socket.socket
    decoder: FrameDecoder = field(default_factory=FrameDecoder)
    received: list[Frame] = field(default_factory=list)

    def send(self, frame: Frame) -> None:
        self.socket.sendall(encode(frame))

    def receive(self) -> Frame | None:
        """The next frame, or None at the end of the stream."""
        while not self.received:
            data = self.socket.recv(65536)
            if not data:
                return None
            self.received += self.decoder.feed(data)
        return self.received.pop(0)

    def compile(self, source: str) -> Frame | None:
        """Compile a program under the key "main"."""
        content = source.encode()
        meta = {"key": "main", "language": "tengo", "file": "main", "source_bytes": len(content), "modules": []}
        self.send(Frame(Kind.COMPILE, 1, meta, content))
        return self.receive()

    def run(self, deadline_ms: int = PATIENCE_SECONDS * 1000) -> Frame | None:
        """Run it; DONE, or None where the process has died."""
        self.send(Frame(Kind.RUN, 2, {"key": "main", "deadline_ms": deadline_ms}))
        return self.receive()

    def end(self) -> tuple[int, str]:
        """Wait for the process's end; its exit status and what it wrote to standard error."""
        _, errors = self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode, errors

    def status(self) -> dict[str, str]:
        """What the kernel says of the process."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def command(fd: int, *options: str, parent: int | None = None) -> list[str]:
    """The command line that starts an executor."""
    script = str(Path(executor.__file__))
    return [sys.executable, "-I", "-S", script, "--fd", str(fd), "--parent", str(parent or os.getpid()), *options]


@contextmanager
def executor_process(
    *options: str,
    prefix: Sequence[str] = (),
    inherited: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[ExecutorProcess]:
    """A started executor, which is killed at the end if it is still there.

    ``prefix`` goes before the command line, ``inherited`` are descriptors that the process gets besides its own.
    """
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE_SECONDS)
    popen: dict[str, Any] = {"pass_fds": [theirs.fileno(), *inherited], "env": environment or {}}
    popen |= {"stderr": subprocess.PIPE, "text": True}
    with ours, subprocess.Popen([*prefix, *command(theirs.fileno(), *options)], **popen) as process:
        theirs.close()
        try:
            yield ExecutorProcess(process, ours)
        finally:
            process.kill()

"""The engine in this very process, for command lines and tests: the library serves one end of a socket pair.

A program that crashes Go ends this process; a worker runs programs in executors of their own instead.
"""

import socket
import threading
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tengo_bridge.errors import BridgeError
from tengo_bridge.frames import Frame, FrameDecoder, Kind, encode
from tengo_bridge.library import DEFAULT_PATH, load_library

_RECEIVE_BYTES = 64 * 1024


class EngineError(BridgeError):
    """The engine is not open, or has ended."""


class Engine:
    """Compiles and runs programs, one call after the other. Use it as a context manager, from one thread.

    ``limits`` is the meta data of a CONFIGURE frame; sizes of strings and memory hold for the whole process.
    """

    def __init__(self, library: "str | Path" = DEFAULT_PATH, limits: Mapping[str, Any] | None = None) -> None:
        self._library = library
        self._limits = limits or {}
        self._ids = count(1)
        self._decoder = FrameDecoder()
        self._received: Iterator[Frame] = iter(())
        self._socket: socket.socket | None = None
        self._server: threading.Thread | None = None

    def __enter__(self) -> Self:
        serve = load_library(self._library).serve
        self._socket, other_end = socket.socketpair()
        self._server = threading.Thread(target=serve, args=(other_end.detach(),), name="libtengo", daemon=True)
        self._server.start()
        try:
            self._expect(self.receive(), Kind.READY)
            self.send(Frame(Kind.CONFIGURE, meta=self._limits))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cancel what is running and end the engine; closing it again does nothing."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._server is not None:
            self._server.join()
            self._server = None

    def compile(
        self, key: str, source: str, *, file: str = "program", modules: Mapping[str, str] | None = None
    ) -> Frame:
        """Compile a program, with the sources of modules by name, to be run under ``key``.

        The answer is of kind COMPILED, NEEDS (call again with those modules too) or REFUSED.
        """
        sources = {name: text.encode() for name, text in (modules or {}).items()}
        main = source.encode()
        meta = {
            "key": key,
            "language": "tengo",
            "file": file,
            "source_bytes": len(main),
            "modules": [{"name": name, "bytes": len(content)} for name, content in sources.items()],
        }
        self.send(Frame(Kind.COMPILE, next(self._ids), meta, b"".join((main, *sources.values()))))
        return self._expect(self.receive(), Kind.COMPILED, Kind.NEEDS, Kind.REFUSED)

    def run(
        self, key: str, *, deadline_ms: int, request: Mapping[str, object] | None = None, body: bytes = b""
    ) -> list[Frame]:
        """Run a compiled program to its end: its LOG frames, and its DONE frame as the last."""
        meta: dict[str, object] = {"key": key, "deadline_ms": deadline_ms}
        if request is not None:
            meta["request"] = request
        self.send(Frame(Kind.RUN, next(self._ids), meta, body))
        frames = [self._expect(self.receive(), Kind.LOG, Kind.DONE)]
        while frames[-1].kind is not Kind.DONE:
            frames.append(self._expect(self.receive(), Kind.LOG, Kind.DONE))
        return frames

    def send(self, frame: Frame) -> None:
        """Send any frame; EngineError if the engine is not open."""
        self._open_socket().sendall(encode(frame))

    def receive(self) -> Frame:
        """Wait for the next frame; EngineError if the engine is not open or ends."""
        stream = self._open_socket()
        while (frame := next(self._received, None)) is None:
            data = stream.recv(_RECEIVE_BYTES)
            if not data:
                raise EngineError("the engine has ended; what was wrong with its input is on standard error")
            self._received = iter(self._decoder.feed(data))
        return frame

    def _open_socket(self) -> socket.socket:
        if self._socket is None:
            raise EngineError("the engine is not open; use it inside its with block")
        return self._socket

    def _expect(self, frame: Frame, *kinds: Kind) -> Frame:
        if frame.kind not in kinds:
            raise EngineError(f"the engine sent {frame.kind.name} where {' or '.join(k.name for k in kinds)} was due")
        return frame

"""A load generator: many keep-alive connections, each sending the same request again when it has its answer.

It writes prepared bytes and looks no further into an answer than its status and length, so that it costs little beside
what it measures. Run as a process of its own: `python -m bench.load HOST PORT CONNECTIONS SECONDS < request`.
"""

import asyncio
import json
import re
import sys
import time
from dataclasses import asdict, dataclass, field

import uvloop

STATUS = re.compile(rb"HTTP/1\.1 (\d+)")
LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n", re.IGNORECASE)


@dataclass(slots=True)
class Measured:
    """What came of a load: answers per second, and their latencies in ms."""

    per_second: float
    median_ms: float
    p99_ms: float
    answers: int
    failures: int


@dataclass(slots=True)
class Tally:
    until: float
    latencies: list[float] = field(default_factory=list)
    failures: int = 0


class Caller(asyncio.Protocol):
    """One connection."""

    def __init__(self, request: bytes, tally: Tally) -> None:
        self._request = request
        self._tally = tally
        self._received = bytearray()
        self._sent = 0.0
        self._transport: asyncio.Transport | None = None
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # uvloop's transports are no subclasses
        self._send()

    def _send(self) -> None:
        assert self._transport is not None
        self._sent = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        length = LENGTH.search(self._received, 0, end + 2)
        if length is None or len(self._received) < end + 4 + int(length[1]):
            return
        self._answered()

    def _answered(self) -> None:
        now = time.perf_counter()
        status = STATUS.match(self._received)
        if status is None or status[1] != b"200":
            self._tally.failures += 1
        self._tally.latencies.append(now - self._sent)
        self._received.clear()
        if now < self._tally.until:
            self._send()
        else:
            self._finish()

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)
        if self._transport is not None:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self._tally.failures += 1
            self.done.set_result(exc)


async def load(host: str, port: int, connections: int, seconds: float, request: bytes) -> Measured:
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    tally = Tally(until=started + seconds)
    callers = [
        (await loop.create_connection(lambda: Caller(request, tally), host, port))[1] for _ in range(connections)
    ]
    await asyncio.gather(*[caller.done for caller in callers])
    elapsed = time.perf_counter() - started
    ordered = sorted(tally.latencies)
    return Measured(
        per_second=len(ordered) / elapsed,
        median_ms=ordered[len(ordered) // 2] * 1000,
        p99_ms=ordered[len(ordered) * 99 // 100] * 1000,
        answers=len(ordered),
        failures=tally.failures,
    )


def main() -> None:
    host, port, connections, seconds = sys.argv[1:]
    request = sys.stdin.buffer.read()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        measured = runner.run(load(host, int(port), int(connections), float(seconds), request))
    print(json.dumps(asdict(measured)))


if __name__ == "__main__":
    main()

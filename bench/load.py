"""The load generator in Go, as a process of its own; load_go/main.go says what it does."""

import asyncio
import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.tools import built


@dataclass(frozen=True, slots=True)
class Load:
    """What to send: whole HTTP requests in turn, as fast as they are answered or ``rate`` per second."""

    port: int
    requests: Sequence[bytes]
    callers: int = 32
    seconds: float = 2.0
    rate: float = 0.0
    once: bool = False
    """End when each request was sent once."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What came of it; latencies in ms, at a fixed rate from when the request was to be sent."""

    per_second: float
    answers: int
    statuses: Mapping[str, int]
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    sent_late_p99_ms: float


class LoadError(Exception):
    """A measurement that is worth nothing: answers other than expected, or none."""


async def run_load(load: Load, *, expect: Sequence[str] = ("200",)) -> Answers:
    """Send, and wait for every answer. LoadError where the generator gives up or another status comes."""
    plan = {
        "address": f"127.0.0.1:{load.port}",
        "requests": [base64.b64encode(each).decode() for each in load.requests],
        "callers": load.callers,
        "seconds": load.seconds,
        "rate": load.rate,
        "once": load.once,
    }
    process = await asyncio.create_subprocess_exec(
        built("load_go"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        output, problem = await process.communicate(json.dumps(plan).encode())
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        raise LoadError(problem.decode().strip())
    found = Answers(**json.loads(output))
    if not found.answers or (expect and not set(found.statuses) <= set(expect)):
        raise LoadError(f"statuses {found.statuses} came, and {', '.join(expect)} is expected")
    return found


def http_request(method: str, path: str, port: int, body: bytes, credentials: str, content_type: str) -> bytes:
    """The bytes of a request."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Authorization: Basic {base64.b64encode(credentials.encode()).decode()}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body

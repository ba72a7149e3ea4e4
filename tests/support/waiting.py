"""Waiting for a condition, with a limit and never longer than needed."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

LIMIT_SECONDS = 20.0


async def until(condition: Callable[[], Awaitable[T | None]], what: str, limit_seconds: float = LIMIT_SECONDS) -> T:
    """Ask until the answer is neither None nor False. Raises AssertionError, which names ``what``."""
    deadline = time.monotonic() + limit_seconds
    while True:
        answer = await condition()
        if answer is not None and answer is not False:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {limit_seconds:g} s: {what}")
        await asyncio.sleep(0.02)


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

"""Answers that grow: lines that are sent as they come, for as long as somebody reads them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

import structlog
from aiohttp import web

from shared.http import Refusal

SIGN_OF_LIFE = b"\n"
SIGN_OF_LIFE_SECONDS = 10.0
"""After so long without a line an empty one is sent, so that either side notices that the other is gone."""
UNREAD_SECONDS = 30.0
"""How long somebody may leave unread what was sent, when there is no more room for it on the way."""
LAST_LINES_SECONDS = 0.5

NDJSON = "application/x-ndjson"

Lines = AsyncGenerator[bytes, None]

log = structlog.get_logger()


class Streams:
    """Sends lines to so many at once; can end them all."""

    def __init__(self, max_streams: int, *, sign_of_life_seconds: float = SIGN_OF_LIFE_SECONDS) -> None:
        self._max_streams = max_streams
        self._sign_of_life_seconds = sign_of_life_seconds
        self._open = 0
        self._stopping = asyncio.Event()

    def __len__(self) -> int:
        return self._open

    @property
    def free(self) -> int:
        """How many more there may be."""
        return self._max_streams - self._open

    def stop(self) -> None:
        """Have all streams end, after what is still to come in a moment."""
        self._stopping.set()

    async def send(self, request: web.Request, lines: Lines, content_type: str) -> web.StreamResponse:
        """Answer with lines, each with its end, until there are no more. Raises Refusal(429) past the most."""
        if self._open >= self._max_streams:
            raise Refusal(429, f"{self._max_streams} logs are followed already", {"Retry-After": "5"})
        self._open += 1
        try:
            async with aclosing(lines):
                return await self._send(request, lines, content_type)
        finally:
            self._open -= 1

    async def _send(self, request: web.Request, lines: Lines, content_type: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        response.content_type = content_type
        response.charset = "utf-8"
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        try:
            # Who reads may go at any time.
            with suppress(ConnectionError):
                async with aclosing(self._with_signs_of_life(lines)) as sent:
                    async for line in sent:
                        async with asyncio.timeout(UNREAD_SECONDS):
                            await response.write(line)
                await response.write_eof()
        except Exception as error:  # noqa: BLE001 - the answer has begun, so that no other can be given
            log.warning("stream_broken_off", path=request.path, reason=str(error) or type(error).__name__)
            if request.transport is not None:
                request.transport.abort()
        return response

    async def _with_signs_of_life(self, lines: Lines) -> Lines:
        stopping = asyncio.ensure_future(self._stopping.wait())
        coming = asyncio.ensure_future(anext(lines, None))
        try:
            while True:
                await asyncio.wait(
                    {coming, stopping}, timeout=self._sign_of_life_seconds, return_when=asyncio.FIRST_COMPLETED
                )
                if stopping.done():
                    await asyncio.wait({coming}, timeout=LAST_LINES_SECONDS)
                if coming.done():
                    line = coming.result()
                    if line is None:
                        return
                    coming = asyncio.ensure_future(anext(lines, None))
                    yield line
                elif stopping.done():
                    return
                else:
                    yield SIGN_OF_LIFE
        finally:
            stopping.cancel()
            coming.cancel()
            await asyncio.wait({coming, stopping})

"""What a run logs, as it comes: from the worker while the run is under way, then from its record."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Protocol

import aiohttp
import structlog
from pydantic import ValidationError

from juvuln.live import LiveRun, LiveRuns
from juvuln.runs.run import RecordedRun
from juvuln.workers import Worker
from shared.wire import LogLine

POLL_SECONDS = 1.0
"""How often the record is looked at for a run that is not under way here; another manager may have it."""
CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 30.0
"""A worker sends a sign of life every 10 s."""
RETRY_SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Pauses before a worker that does not know the run is asked again: the task may still be on its way."""
MAX_LINE_BYTES = 4 * 1024 * 1024

log = structlog.get_logger()

LogLines = AsyncGenerator[LogLine, None]


class Record(Protocol):
    """The part of the record of runs that is needed here."""

    async def get(self, domain: str, run_id: str) -> RecordedRun | None: ...


class _NotTold(Exception):
    """The worker does not know the run, or knows no such call."""


class RunLogs:
    def __init__(self, record: Record, live: LiveRuns, session: aiohttp.ClientSession) -> None:
        self._record = record
        self._live = live
        self._session = session

    async def so_far(self, run: RecordedRun) -> LogLines:
        """What there is; of a run under way only where its worker tells."""
        live = self._live.find(run.id)
        if run.ending is not None:
            for line in run.ending.log:
                yield line
        elif live is not None and live.worker is not None:
            with suppress(_NotTold):
                async with aclosing(self._ask(live.worker, run.id, "?follow=false")) as lines:
                    async for line in lines:
                        yield line

    async def follow(self, run: RecordedRun) -> LogLines:
        """Everything until the run has ended."""
        sent = 0
        ending = run.ending
        while ending is None:
            if live := self._live.find(run.id):
                async with aclosing(self._as_they_come(live, run.id)) as lines:
                    async for line in lines:
                        sent += 1
                        yield line
                ending = await live.ended()
            elif (recorded := await self._record.get(run.domain, run.id)) is None:
                return  # it was deleted meanwhile
            elif (ending := recorded.ending) is None:
                await asyncio.sleep(POLL_SECONDS)
        for line in ending.log[sent:]:
            yield line

    async def _as_they_come(self, live: LiveRun, run_id: str) -> LogLines:
        """The lines that the run's worker tells of, if it does. A run that did not start goes on to another worker."""
        asked: Worker | None = None
        while live.ending is None:
            if live.worker is None or live.worker is asked:
                await live.news.wait()
                continue
            asked = live.worker
            async with aclosing(self._ask_until_known(live, asked, run_id)) as lines:
                async for line in lines:
                    yield line

    async def _ask_until_known(self, live: LiveRun, worker: Worker, run_id: str) -> LogLines:
        for pause_seconds in RETRY_SECONDS:
            try:
                async with aclosing(self._ask(worker, run_id)) as lines:
                    async for line in lines:
                        yield line
            except _NotTold:
                if live.ending is not None or live.worker is not worker:
                    return
                await asyncio.sleep(pause_seconds)
            else:
                return

    async def _ask(self, worker: Worker, run_id: str, query: str = "") -> LogLines:
        """The lines of a run that the worker has under way. Raises _NotTold."""
        headers = {"Accept-Encoding": "identity"}
        if worker.credentials is not None:
            headers["Authorization"] = worker.credentials.header()
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS)
        url = f"{worker.base_url}/v1/runs/{run_id}/log{query}"
        try:
            async with self._session.get(url, headers=headers, timeout=timeout, allow_redirects=False) as answer:
                if answer.status != 200:
                    raise _NotTold
                async with aclosing(_lines(answer)) as lines:
                    async for line in lines:
                        yield LogLine.model_validate_json(line)
        except (aiohttp.ClientError, TimeoutError, ValidationError) as error:
            # What is missing is in the report at the end.
            log.info("log_not_followed", run=run_id, worker=worker.name, reason=type(error).__name__)


async def _lines(answer: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    """The lines that are not empty."""
    pending = b""
    async for chunk in answer.content.iter_any():
        *whole, pending = (pending + chunk).split(b"\n")
        for line in whole:
            if line:
                yield line
        if len(pending) > MAX_LINE_BYTES:
            raise aiohttp.ClientPayloadError(f"a line of the log exceeds {MAX_LINE_BYTES} bytes")

"""The manager's client of workers, as the manager opens it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from juvuln.worker_client import WorkerClient, open_worker_client


@asynccontextmanager
async def worker_client() -> AsyncIterator[WorkerClient]:
    session = aiohttp.ClientSession(auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar())
    async with session:
        with open_worker_client(session) as client:
            yield client

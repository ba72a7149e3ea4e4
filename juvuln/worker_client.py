"""The manager's calls of a worker, and what each failure says of the run."""

import errno

import aiohttp

from juvuln.answers import NotStarted, Unanswered, Why, WorkerAnswer
from juvuln.workers import Worker
from shared.http import connection_fault

CONNECT_TIMEOUT_SECONDS = 5.0
OUR_OWN_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS})
"""Errors at connecting that say nothing about the worker."""
MAX_ANSWER_BYTES = 64 * 1024 * 1024
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_SECONDS)
"""How long the answer may take is for the caller to say."""


class WorkerClient:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def run(self, worker: Worker, task: bytes) -> WorkerAnswer:
        """The worker's answer to a task, in JSON.

        Raises NotStarted if it never got the task, Unanswered if that is not certain.
        """
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if worker.credentials is not None:
            headers["Authorization"] = worker.credentials.header()
        try:
            # A redirect is a webhook program's answer, and not for us to follow.
            async with self._session.post(
                f"{worker.base_url}/v1/tasks", data=task, headers=headers, timeout=TIMEOUT, allow_redirects=False
            ) as response:
                body = await _read_bounded(response)
                return WorkerAnswer(response.status, list(response.headers.items()), response.content_type, body)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotStarted(_why(error), f"cannot be reached ({_words(error)})") from error
        except aiohttp.ClientError as error:
            reason = f"the connection to {worker.name} broke before it answered ({_words(error)})"
            raise Unanswered(reason) from error


def _why(error: Exception) -> Why:
    number = error.errno if isinstance(error, OSError) else None
    if number in OUR_OWN_SHORTAGES:
        return Why.OURS
    return Why.GONE if number == errno.ECONNREFUSED else Why.UNREACHABLE


async def _read_bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise aiohttp.ClientPayloadError(f"the answer exceeds {MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def _words(error: Exception) -> str:
    return connection_fault(error) or type(error).__name__

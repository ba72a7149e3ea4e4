"""The manager's calls of a worker, and what each failure says of the run."""

import errno
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

import aiohttp
import structlog
from pydantic import ValidationError
from yarl import URL

from juvuln.answers import NotStarted, Said, Unanswered, Why, WorkerAnswer, understand
from juvuln.worker_connections import Answer, NoConnectionError, Parts, WorkerConnections
from juvuln.workers import Worker
from shared.http import connection_fault
from shared.lines import LongLineError, lines_of
from shared.wire import BatchLine

CONNECT_TIMEOUT_SECONDS = 5.0
OUR_OWN_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS})
"""Errors at connecting that say nothing about the worker."""
MAX_ANSWER_BYTES = 64 * 1024 * 1024
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_SECONDS)
"""How long the answer may take is for the caller to say."""
END_TIMEOUT = aiohttp.ClientTimeout(total=5.0, sock_connect=CONNECT_TIMEOUT_SECONDS)

log = structlog.get_logger()


class WorkerClient:
    """Open it with :func:`open_worker_client`.

    Tasks travel on ``connections``, but for those of workers that speak TLS, which ``session`` sees to.
    """

    def __init__(self, session: aiohttp.ClientSession, connections: WorkerConnections) -> None:
        self._session = session
        self._connections = connections

    async def run(self, worker: Worker, task: bytes, *, is_call: bool) -> Said:
        """What the worker says of a task, which is JSON; ``is_call``: of a webhook.

        Raises NotStarted if it was certainly not begun, Unanswered if that is not certain.
        """
        async with self._posted(worker, "/v1/tasks", task) as answering:
            answer = await _read(answering)
        return understand(answer, is_call=is_call, keeps_sources=worker.keeps_sources)

    async def run_batch(self, worker: Worker, batches: Parts, heard: Callable[[BatchLine], None]) -> None:
        """Have several tasks begun, and tell what the worker says of each as it comes.

        ``batches`` are lines, each a TaskBatch; a worker that speaks TLS must be given the whole of them. Raises
        NotStarted if certainly none was begun, Unanswered if that is not certain of those not heard of.
        """
        async with self._posted(worker, "/v1/tasks/batch", batches) as answering:
            await _hear(answering, heard)

    async def run_held(self, worker: Worker, batch: Parts, heard: Callable[[BatchLine], None]) -> None:
        """The same for the tasks of one line, which the worker holds until a second comes, a BeginWord.

        It must not speak TLS.
        """
        async with self._posted(worker, "/v1/tasks/held", batch) as answering:
            await _hear(answering, heard)

    async def end_run(self, worker: Worker, run_id: str) -> bool:
        """Have a run of a worker that takes this call ended there. False if it has none of this id, or cannot say."""
        url = f"{worker.base_url}/v1/runs/{run_id}"
        try:
            async with self._session.delete(url, headers=_headers(worker), timeout=END_TIMEOUT) as response:
                return response.status == 204
        except (aiohttp.ClientError, TimeoutError) as error:
            log.info("run_not_ended_yet", worker=worker.name, run=run_id, reason=_words(error))
            return False

    @asynccontextmanager
    async def _posted(self, worker: Worker, path: str, body: bytes | Parts) -> AsyncIterator[Answer]:
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", **_headers(worker)}
        url = URL(f"{worker.base_url}{path}")
        if worker.speaks_tls:
            posting = self._secured(url, headers, body.whole() if isinstance(body, Parts) else body)
        else:
            posting = self._connections.post(url, headers, body)
        try:
            async with posting as answering:
                yield answering
        except NoConnectionError as error:
            raise _not_reached(error.__cause__) from error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise _not_reached(error) from error
        except aiohttp.ClientError as error:
            reason = f"the connection to {worker.name} broke before it answered ({_words(error)})"
            raise Unanswered(reason) from error

    @asynccontextmanager
    async def _secured(self, url: URL, headers: Mapping[str, str], body: bytes) -> AsyncIterator[Answer]:
        # A redirect is a webhook program's answer, and not for us to follow.
        async with self._session.post(
            url, data=body, headers=headers, timeout=TIMEOUT, allow_redirects=False
        ) as response:
            yield Answer(response.status, response.headers, response.content)


@contextmanager
def open_worker_client(session: aiohttp.ClientSession) -> Iterator[WorkerClient]:
    connections = WorkerConnections(CONNECT_TIMEOUT_SECONDS)
    try:
        yield WorkerClient(session, connections)
    finally:
        connections.close()


def _headers(worker: Worker) -> Mapping[str, str]:
    return {} if worker.credentials is None else {"Authorization": worker.credentials.header()}


def _not_reached(error: BaseException | None) -> NotStarted:
    return NotStarted(_why(error), f"cannot be reached ({_words(error)})")


def _why(error: BaseException | None) -> Why:
    number = error.errno if isinstance(error, OSError) else None
    if number in OUR_OWN_SHORTAGES:
        return Why.OURS
    return Why.GONE if number == errno.ECONNREFUSED else Why.UNREACHABLE


async def _hear(answering: Answer, heard: Callable[[BatchLine], None]) -> None:
    """Tell what a worker says of several tasks, as it comes. Raises NotStarted if it does not take them."""
    if answering.status != 200:
        said = understand(await _read(answering), is_call=False)
        raise NotStarted(Why.STRANGER, f"does not take several tasks at once ({said.error})")
    try:
        async for line in lines_of(answering.content.iter_any(), MAX_ANSWER_BYTES):
            heard(_batch_line(line))
    except LongLineError as error:
        raise _too_long() from error


async def _read(answering: Answer) -> WorkerAnswer:
    body = bytearray()
    async for chunk in answering.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise _too_long()
    content_type = answering.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return WorkerAnswer(answering.status, list(answering.headers.items()), content_type, bytes(body))


def _too_long() -> aiohttp.ClientPayloadError:
    return aiohttp.ClientPayloadError(f"the answer exceeds {MAX_ANSWER_BYTES} bytes")


def _batch_line(line: bytes) -> BatchLine:
    try:
        return BatchLine.model_validate_json(line)
    except ValidationError as error:
        raise Unanswered("the worker's answer to several tasks cannot be understood") from error


def _words(error: BaseException | None) -> str:
    if isinstance(error, TimeoutError):
        return "not in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (connection_fault(error) if isinstance(error, Exception) else "") or type(error).__name__

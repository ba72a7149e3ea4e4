"""The manager's calls of a worker, and what each failure says of the run."""

import errno
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence, Sized
from contextlib import asynccontextmanager, contextmanager

import aiohttp
import structlog
from pydantic import ValidationError
from yarl import URL

from juvuln.answers import NotStarted, Said, Unanswered, Why, WorkerAnswer, understand
from juvuln.worker_connections import Answer, LastPart, NoConnectionError, WorkerConnections
from juvuln.workers import Worker
from shared.http import connection_fault
from shared.wire import BatchLine, BeginWord

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

    async def run_batch(self, worker: Worker, tasks: Sequence[bytes], heard: Callable[[BatchLine], None]) -> None:
        """Have several tasks begun, and tell what the worker says of each as it comes.

        Raises NotStarted if certainly none was begun, Unanswered if that is not certain of those not heard of.
        """
        async with self._posted(worker, "/v1/tasks/batch", _batch_json(tasks)) as answering:
            await _hear(answering, heard)

    async def run_held(
        self,
        worker: Worker,
        tasks: Sequence[bytes],
        at: float,
        begin: Callable[[], BeginWord],
        heard: Callable[[BatchLine], None],
    ) -> None:
        """The same for tasks that the worker holds until ``at``, by the loop's clock. Then ``begin`` is called.

        It gives what the worker is told, from which moment on the tasks have perhaps begun.
        """
        last = LastPart(at, lambda: begin().model_dump_json().encode())
        async with self._posted(worker, "/v1/tasks/held", _batch_json(tasks) + b"\n", last) as answering:
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
    async def _posted(
        self, worker: Worker, path: str, body: bytes, last: LastPart | None = None
    ) -> AsyncIterator[Answer]:
        """``last`` is for workers that do not speak TLS."""
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", **_headers(worker)}
        url = URL(f"{worker.base_url}{path}")
        is_plain = url.scheme == "http"
        assert is_plain or last is None, "what is sent later goes on connections of ours"
        posting = self._connections.post(url, headers, body, last) if is_plain else self._secured(url, headers, body)
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


def _batch_json(tasks: Sequence[bytes]) -> bytes:
    return b'{"tasks":[' + b",".join(tasks) + b"]}"


async def _hear(answering: Answer, heard: Callable[[BatchLine], None]) -> None:
    """Tell what a worker says of several tasks, as it comes. Raises NotStarted if it does not take them."""
    if answering.status != 200:
        said = understand(await _read(answering), is_call=False)
        raise NotStarted(Why.STRANGER, f"does not take several tasks at once ({said.error})")
    async for line in _lines(answering):
        heard(_batch_line(line))


async def _read(answering: Answer) -> WorkerAnswer:
    body = bytearray()
    async for chunk in answering.content.iter_any():
        body += chunk
        _check_size(body)
    content_type = answering.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return WorkerAnswer(answering.status, list(answering.headers.items()), content_type, bytes(body))


async def _lines(answering: Answer) -> AsyncIterator[bytes]:
    """Each line as it comes; one may be longer than what aiohttp takes for a line, with a webhook's answer in it.

    So nothing is looked at twice: of eleven megabytes that would take more than half a second.
    """
    begun = bytearray()
    async for chunk in answering.content.iter_any():
        end_of_line, *others = chunk.split(b"\n")
        begun += end_of_line
        _check_size(begun)
        for other in others:
            yield bytes(begun)
            begun = bytearray(other)


def _check_size(received: Sized) -> None:
    if len(received) > MAX_ANSWER_BYTES:
        raise aiohttp.ClientPayloadError(f"the answer exceeds {MAX_ANSWER_BYTES} bytes")


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

"""One attempt of a run: choose a worker, post the task, understand the answer.

A run is moved to another worker only if it certainly did not start on the first. Where that is not certain it is lost.
"""

import asyncio
import errno
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from uuid import UUID

import aiohttp
import structlog
from structlog.contextvars import bound_contextvars

from juvuln.answers import NotStarted, Said, Unanswered, WorkerAnswer, understand
from juvuln.clock import Clock
from juvuln.live import LiveRuns
from juvuln.runs.run import Ending, Run
from juvuln.workers import Worker, WorkerRegistry
from shared.http import connection_fault
from shared.wire import Outcome, Task, TaskAnswer, TaskRequest

ANSWER_MARGIN_SECONDS = 5.0
"""How long after its deadline a run's answer is waited for before the run is given up as lost."""
CONNECT_TIMEOUT_SECONDS = 5.0
LONGEST_NAME = 255
"""What the wire takes of a program's name; a database may hold longer ones."""
OUR_OWN_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS})
"""Errors at connecting that say nothing about the worker."""
MAX_ANSWER_BYTES = 64 * 1024 * 1024

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a run, and what the program answered if it was a webhook."""

    ending: Ending
    answer: TaskAnswer | None = None


class Dispatcher:
    def __init__(
        self,
        workers: WorkerRegistry,
        session: aiohttp.ClientSession,
        clock: Clock,
        library_state: Callable[[str], str],
        live: LiveRuns,
        *,
        parallel: int,
        wait_for_worker_seconds: float,
    ) -> None:
        """``library_state`` gives what stands for the present state of a domain's programs; empty where not known."""
        self._workers = workers
        self._session = session
        self._clock = clock
        self._library_state = library_state
        self._live = live
        self._slots = asyncio.Semaphore(parallel)
        self._wait_for_worker_seconds = wait_for_worker_seconds

    async def attempt(self, run: Run, request: TaskRequest | None = None) -> Result:
        """Have a claimed run done by a worker, once. Its record is left open."""
        await self._until_worker(run.program.language)
        async with self._slots:
            if run.start_by_ms is not None and (now_ms := self._clock.now_ms()) > run.start_by_ms:
                return Result(Ending(Outcome.MISSED, ended_ms=now_ms, reason=_too_late(run, now_ms)))
            return await self._dispatch(run, request)

    async def _dispatch(self, run: Run, request: TaskRequest | None) -> Result:
        """Try worker after worker until one has taken the run."""
        task = _task(run, request, self._library_state(run.program.key.domain))
        refusals: dict[UUID, str] = {}
        while worker := self._workers.choose(run.program.language, refusals):
            try:
                return await self._send(worker, run, task, is_call=request is not None)
            except NotStarted as turn:
                refusals[worker.uuid] = f"{worker.name}: {turn.reason}"
                log.warning("worker_did_not_start_run", worker=worker.name, reason=turn.reason)
                if turn.worker_is_gone:
                    self._workers.drop(worker.uuid)
                await self._until_worker(run.program.language, refusals)
        return Result(self._ending(Outcome.SKIPPED, _no_worker(run.program.language, refusals)))

    async def _until_worker(self, language: str, refusals: Collection[UUID] = ()) -> None:
        """Where there is no worker at all, wait for the next that arrives, but no longer than is configured."""
        try:
            async with asyncio.timeout(self._wait_for_worker_seconds):
                while not self._workers.choose(language, refusals):
                    await self._workers.arrival()
        except TimeoutError:
            return

    async def _send(self, worker: Worker, run: Run, task: bytes, *, is_call: bool) -> Result:
        """Post the task to one worker. Raises NotStarted."""
        deadline_ms = run.program.effective_deadline_ms
        started_ms = self._clock.now_ms()
        self._workers.assign(worker.uuid, deadline_ms)
        self._live.hand_over(run.id, worker)
        try:
            with bound_contextvars(worker=worker.name):
                answer = await self._post(worker, task, deadline_ms / 1000 + ANSWER_MARGIN_SECONDS)
            said = understand(answer, is_call=is_call)
        except Unanswered as failure:
            said = Said(Outcome.LOST, reason=failure.reason)
        finally:
            self._workers.release(worker.uuid, deadline_ms)
        ending = replace(
            self._ending(said.outcome, said.reason),
            error=said.error,
            log=said.log,
            modules=said.modules,
            duration_ms=said.duration_ms,
            attempts=said.attempts,
            started_ms=started_ms,
            worker=worker.name,
        )
        return Result(ending, said.answer)

    async def _post(self, worker: Worker, task: bytes, timeout_seconds: float) -> WorkerAnswer:
        """The worker's answer. Raises NotStarted if it never got the task, Unanswered if that is not certain."""
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if worker.credentials is not None:
            headers["Authorization"] = worker.credentials.header()
        timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=CONNECT_TIMEOUT_SECONDS)
        url = f"{worker.base_url}/v1/tasks"
        try:
            # A redirect is a webhook program's answer, and not for us to follow.
            async with self._session.post(
                url, data=task, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                body = await _read_bounded(response)
                return WorkerAnswer(response.status, list(response.headers.items()), response.content_type, body)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            ours = isinstance(error, OSError) and error.errno in OUR_OWN_SHORTAGES
            raise NotStarted(f"cannot be reached ({_words(error)})", worker_is_gone=not ours) from error
        except TimeoutError as error:
            raise Unanswered(f"{worker.name} did not answer within {timeout_seconds:.0f} s") from error
        except aiohttp.ClientError as error:
            reason = f"the connection to {worker.name} broke before it answered ({_words(error)})"
            raise Unanswered(reason) from error

    def _ending(self, outcome: Outcome, reason: str | None) -> Ending:
        return Ending(outcome=outcome, ended_ms=self._clock.now_ms(), reason=reason)


def _task(run: Run, request: TaskRequest | None, library_state: str) -> bytes:
    program = run.program
    task = Task(
        deadline=program.effective_deadline_ms,
        domain=program.key.domain,
        language=program.language,
        program_uuid=str(program.key.uuid),
        source_code=program.code,
        http=request,
        program_name=program.name[:LONGEST_NAME],
        run_id=run.id,
        library=library_state or None,
        report=True,
    )
    return task.model_dump_json(exclude_none=True).encode()


async def _read_bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise aiohttp.ClientPayloadError(f"the answer exceeds {MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def _too_late(run: Run, now_ms: int) -> str:
    late_seconds = (now_ms - (run.due_ms or run.claimed_ms)) / 1000
    return f"too late to start: it waited for a free slot until {late_seconds:.1f} s after it was due"


def _no_worker(language: str, refusals: dict[UUID, str]) -> str:
    if refusals:
        return "no worker took it: " + "; ".join(refusals.values())
    return f"no worker that runs {language} is subscribed"


def _words(error: Exception) -> str:
    return connection_fault(error) or type(error).__name__

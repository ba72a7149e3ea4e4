"""One run, from its claim to the end of its record: choose a worker, post the task, understand the answer.

A run is moved to another worker only if it certainly did not start on the first. Where that is not certain it is lost.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol
from uuid import UUID

import aiohttp
import structlog
from pydantic import ValidationError
from structlog.contextvars import bound_contextvars

from juvuln.clock import Clock
from juvuln.runs.run import Ending, Run
from juvuln.workers import Worker, WorkerRegistry
from shared.wire import (
    REPORT_CONTENT_TYPE,
    ErrorBody,
    ErrorKind,
    Outcome,
    ProgramError,
    Report,
    Task,
    TaskAnswer,
    TaskRequest,
)

ANSWER_MARGIN_SECONDS = 5.0
"""How long after its deadline a run's answer is waited for before the run is given up as lost."""
CONNECT_TIMEOUT_SECONDS = 5.0
MAX_ANSWER_BYTES = 64 * 1024 * 1024

log = structlog.get_logger()


class Closes(Protocol):
    """The part of the record that a dispatch needs."""

    def close(self, run: Run, ending: Ending) -> None: ...


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a run, and what the program answered if it was a webhook."""

    ending: Ending
    answer: TaskAnswer | None = None


class NotStarted(Exception):
    """A worker certainly did not begin the run."""

    def __init__(self, reason: str, *, worker_is_gone: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.worker_is_gone = worker_is_gone


class Dispatcher:
    def __init__(
        self,
        workers: WorkerRegistry,
        session: aiohttp.ClientSession,
        record: Closes,
        clock: Clock,
        *,
        parallel: int,
        wait_for_worker_seconds: float,
    ) -> None:
        self._workers = workers
        self._session = session
        self._record = record
        self._clock = clock
        self._slots = asyncio.Semaphore(parallel)
        self._wait_for_worker_seconds = wait_for_worker_seconds

    async def execute(self, run: Run, request: TaskRequest | None = None) -> Result:
        """Bring a claimed run to its end and close its record, whatever happens."""
        key = run.program.key
        with bound_contextvars(run=run.id, program=str(key.uuid), domain=key.domain):
            try:
                async with self._slots:
                    result = await self._dispatch(run, request)
            except asyncio.CancelledError:
                self._close(run, self._ending(Outcome.LOST, "the manager ended before the worker answered"))
                raise
            except Exception as error:
                log.exception("dispatch_failed")
                result = Result(self._ending(Outcome.LOST, f"internal error of the manager: {error!r}"))
            sized = replace(
                result.ending,
                request_bytes=len(request.body) if request else None,
                answer_bytes=len(result.answer.body) if result.answer else None,
            )
            self._close(run, sized)
            return replace(result, ending=sized)

    async def _dispatch(self, run: Run, request: TaskRequest | None) -> Result:
        """Try worker after worker until one has taken the run."""
        task = _task(run, request)
        refusals: dict[UUID, str] = {}
        while True:
            worker = await self._choose(run.program.language, refusals)
            if worker is None:
                return Result(self._ending(Outcome.SKIPPED, _no_worker(run.program.language, refusals)))
            try:
                return await self._send(worker, run, task)
            except NotStarted as turn:
                refusals[worker.uuid] = f"{worker.name}: {turn.reason}"
                log.warning("worker_did_not_start_run", worker=worker.name, reason=turn.reason)
                if turn.worker_is_gone:
                    self._workers.drop(worker.uuid)

    async def _choose(self, language: str, refusals: dict[UUID, str]) -> Worker | None:
        """A worker; where there is none at all, the next that arrives within the configured time."""
        if worker := self._workers.choose(language, refusals):
            return worker
        try:
            async with asyncio.timeout(self._wait_for_worker_seconds):
                while not (worker := self._workers.choose(language, refusals)):
                    await self._workers.arrival()
        except TimeoutError:
            return None
        return worker

    async def _send(self, worker: Worker, run: Run, task: bytes) -> Result:
        """Post the task to one worker. Raises NotStarted."""
        deadline_ms = run.program.effective_deadline_ms
        started_ms = self._clock.now_ms()
        self._workers.assign(worker.uuid, deadline_ms)
        try:
            with bound_contextvars(worker=worker.name):
                result = await self._post(worker, task, deadline_ms / 1000 + ANSWER_MARGIN_SECONDS)
        finally:
            self._workers.release(worker.uuid, deadline_ms)
        return replace(result, ending=replace(result.ending, started_ms=started_ms, worker=worker.name))

    async def _post(self, worker: Worker, task: bytes, timeout_seconds: float) -> Result:
        headers = {"Content-Type": "application/json"}
        if worker.credentials is not None:
            headers["Authorization"] = worker.credentials.header()
        timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=CONNECT_TIMEOUT_SECONDS)
        url = f"{worker.base_url}/v1/tasks"
        try:
            async with self._session.post(url, data=task, headers=headers, timeout=timeout) as response:
                body = await _read_bounded(response)
                return self._understand(response, body)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotStarted(f"cannot be reached ({_words(error)})", worker_is_gone=True) from error
        except TimeoutError:
            return self._lost(f"{worker.name} did not answer within {timeout_seconds:.0f} s")
        except aiohttp.ClientError as error:
            return self._lost(f"the connection to {worker.name} broke before it answered ({_words(error)})")

    def _understand(self, response: aiohttp.ClientResponse, body: bytes) -> Result:
        """What a worker's answer says. Raises NotStarted if it says that the run was not begun."""
        match response.status:
            case 429 | 503:
                raise NotStarted(f"takes no more runs ({response.status})", worker_is_gone=False)
            case 401 | 403:
                raise NotStarted("refuses its own credentials; it was probably restarted", worker_is_gone=True)
        try:
            if response.content_type == REPORT_CONTENT_TYPE:
                return self._reported(Report.model_validate_json(body))
            return self._plain(response, body)
        except ValidationError:
            return self._lost(f"the worker's answer ({response.status}) cannot be understood")

    def _reported(self, report: Report) -> Result:
        ending = self._ending(report.outcome, None)
        ending = replace(
            ending, error=report.error, log=report.log, duration_ms=report.duration_ms, modules=report.modules
        )
        return Result(ending, report.response)

    def _plain(self, response: aiohttp.ClientResponse, body: bytes) -> Result:
        """The answer of a worker that knows only the contract: a failure is JSON with code and message."""
        if response.content_type == "application/json" and response.status >= 400:
            message = ErrorBody.model_validate_json(body).message
            error = ProgramError(kind=ErrorKind.RUNTIME, message=message)
            return Result(replace(self._ending(Outcome.FAILED, None), error=error))
        kept = [(name, value) for name, value in response.headers.items() if name.lower() not in NOT_THE_PROGRAMS]
        return Result(
            self._ending(Outcome.SUCCEEDED, None), TaskAnswer(status=response.status, headers=kept, body=body)
        )

    def _lost(self, reason: str) -> Result:
        return Result(self._ending(Outcome.LOST, reason))

    def _ending(self, outcome: Outcome, reason: str | None) -> Ending:
        return Ending(outcome=outcome, ended_ms=self._clock.now_ms(), reason=reason)

    def _close(self, run: Run, ending: Ending) -> None:
        self._record.close(run, ending)
        note: Callable[..., Any] = log.info if ending.outcome is Outcome.SUCCEEDED else log.warning
        note(
            "run_ended",
            name=run.program.name,
            outcome=ending.outcome.value,
            worker=ending.worker,
            duration_ms=ending.duration_ms,
            reason=ending.reason or (str(ending.error) if ending.error else None),
        )


NOT_THE_PROGRAMS = frozenset({"content-length", "date", "server", "transfer-encoding", "connection", "x-expires"})


def _task(run: Run, request: TaskRequest | None) -> bytes:
    program = run.program
    task = Task(
        deadline=program.effective_deadline_ms,
        domain=program.key.domain,
        language=program.language,
        program_uuid=str(program.key.uuid),
        source_code=program.code,
        http=request,
        program_name=program.name,
        run_id=run.id,
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


def _no_worker(language: str, refusals: dict[UUID, str]) -> str:
    if refusals:
        return "no worker took it: " + "; ".join(refusals.values())
    return f"no worker that runs {language} is subscribed"


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__

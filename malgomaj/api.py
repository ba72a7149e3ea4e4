"""The worker's HTTP API."""

import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import structlog
from aiohttp import web

from malgomaj.answers import answer
from malgomaj.batch import Begin, answer_batch
from malgomaj.errors import Busy, Draining, SourceNeeded, Withdrawn, WordMissing, WrongDigest
from malgomaj.executors import Executors
from malgomaj.held import Held, Word
from malgomaj.kept_sources import KeptSources
from malgomaj.meter import TaskMeter
from malgomaj.plate import Plate
from malgomaj.run_logs import RunLogs
from malgomaj.tasks import Ended, Tasks
from malgomaj.turns import Turns
from shared.auth import BasicCredentials, parse_basic, same_secret
from shared.connections import extend_body_time
from shared.direct import DirectCall
from shared.http import (
    Answer,
    ModelT,
    Parameter,
    Refusal,
    Route,
    json_response,
    parse_model,
    read_lines,
    read_model,
)
from shared.reply import Reply
from shared.streams import NDJSON, Streams
from shared.wire import MAX_BATCH_BYTES, REPORT_CONTENT_TYPE, BatchLine, BeginWord, Load, Report, Task, TaskBatch

log = structlog.get_logger()

JSON_ROOM_BYTES = 256 * 1024
"""For everything in a task's JSON that is neither source code nor body, headers above all."""

BATCHES_SECONDS = 60.0
"""How long a manager may go on sending batches in one call, which it does for some seconds."""

DRAINING_RETRY_AFTER_SECONDS = "1"


class Status(Load):
    """`GET /v1/status`: the contract's load, and more of ours."""

    runs: int
    """Runs and compiles under way in executors."""
    waiting: int
    """Runs that wait for their domain's turn."""
    executors: int
    """Executor processes alive."""
    programs: int
    """Programs held compiled."""
    backing_off: dict[str, int]
    """Domains whose calls are refused for a while because their programs crashed executors: how often in the last
    minute."""


@dataclass(frozen=True, slots=True)
class TaskLimits:
    source_bytes: int
    body_bytes: int

    @property
    def json_bytes(self) -> int:
        """The longest JSON that can hold both in base64."""
        return (self.source_bytes + self.body_bytes) * 4 // 3 + JSON_ROOM_BYTES


class Api:
    """What the manager may ask of the worker."""

    def __init__(
        self,
        tasks: Tasks,
        sources: KeptSources,
        held: Held,
        plate: Plate,
        turns: Turns,
        executors: Executors,
        logs: RunLogs,
        streams: Streams,
        meter: TaskMeter,
        *,
        credentials: BasicCredentials,
        languages: Sequence[str],
        limits: TaskLimits,
    ) -> None:
        self._tasks = tasks
        self._sources = sources
        self._held = held
        self._plate = plate
        self._turns = turns
        self._executors = executors
        self._logs = logs
        self._streams = streams
        self._meter = meter
        self._credentials = credentials
        self._expected = credentials.header()
        self._languages = languages
        self._limits = limits

    def routes(self) -> list[Route]:
        return [
            Route(
                "POST",
                "/v1/tasks",
                self.run_task,
                RUN_TASK,
                TASK_ANSWERS,
                request=Task,
                security=("manager",),
                shortcut=True,
                direct=self.run_direct_task,
            ),
            Route(
                "POST",
                "/v1/tasks/batch",
                self.run_batch,
                "Run many programs side by side, and tell of each when it has ended; every line of the body adds some",
                BATCH_ANSWERS,
                request=TaskBatch,
                request_content_type=NDJSON,
                security=("manager",),
                shortcut=True,
            ),
            Route(
                "POST",
                "/v1/tasks/held",
                self.run_held,
                "The same for programs whose time has not come: they begin when a second line says so",
                HELD_ANSWERS,
                request=TaskBatch,
                request_content_type=NDJSON,
                security=("manager",),
                shortcut=True,
            ),
            Route(
                "GET", "/v1/status", self.status, "What this worker has to do", STATUS_ANSWERS, security=("manager",)
            ),
            Route(
                "GET",
                "/v1/runs/{run_id}/log",
                self.run_log,
                "What a run that is under way logs, until it ends",
                RUN_LOG_ANSWERS,
                query=[Parameter("follow", "false: only what there is so far", {"type": "boolean"})],
                security=("manager",),
            ),
            Route(
                "DELETE",
                "/v1/runs/{run_id}",
                self.end_run,
                "End a run whose result is not wanted any more; its task is answered when its program has stopped",
                END_RUN_ANSWERS,
                security=("manager",),
            ),
        ]

    async def run_task(self, request: web.Request) -> web.Response:
        self._authenticate(_authorization(request))
        task = await read_model(request, Task, self._limits.json_bytes)
        return answer(task, await self._run(task)).response()

    async def run_direct_task(self, call: DirectCall) -> Reply:
        self._authenticate(call.headers.get("Authorization", ""))
        task = parse_model(call.body, Task)
        return answer(task, await self._run(task))

    async def run_batch(self, request: web.Request) -> web.StreamResponse:
        self._authenticate(_authorization(request))
        extend_body_time(request, BATCHES_SECONDS)
        lines = read_lines(request, MAX_BATCH_BYTES)
        first = await _next(lines, TaskBatch)

        async def begin_more(begin: Begin) -> None:
            try:
                async for line in lines:
                    await begin(parse_model(line, TaskBatch).tasks)
            except Refusal as refusal:
                # What was begun goes on to its end.
                log.warning("batch_broken_off", reason=refusal.message)

        return await answer_batch(request, first.tasks, lambda _, task: self._run(task), begin_more)

    async def run_held(self, request: web.Request) -> web.StreamResponse:
        self._authenticate(_authorization(request))
        lines = read_lines(request, MAX_BATCH_BYTES)
        batch, word = await _next(lines, TaskBatch), Word()

        async def hear(_begin: Begin) -> None:
            try:
                said = await _next(lines, BeginWord)
            except Refusal as refusal:
                raise WordMissing(refusal.message) from refusal
            self._held.begin(word, said.without)

        return await answer_batch(request, batch.tasks, lambda number, task: self._run(task, number, word), hear)

    async def _run(self, task: Task, number: int = 0, word: Word | None = None) -> Ended:
        """Run a task to its end, at its ``word`` if there is to be one. Raises Refusal if it cannot be begun."""
        self._check(task)
        try:
            code = self._sources.code_of(task)
            if word is None:
                return await self._tasks.run(task, code)
            return await self._tasks.run_at_word(task, code, number, word)
        except SourceNeeded as error:
            self._meter.sources_needed += 1
            raise Refusal(409, str(error)) from error
        except WrongDigest as error:
            raise Refusal(422, str(error)) from error
        except Withdrawn as error:
            raise Refusal(410, str(error)) from error
        except Busy as error:
            self._meter.refused_busy += 1
            raise Refusal(429, str(error), {"Retry-After": str(math.ceil(error.retry_after_seconds))}) from error
        except Draining as error:
            self._meter.refused_draining += 1
            raise Refusal(503, str(error), {"Retry-After": DRAINING_RETRY_AFTER_SECONDS}) from error

    async def status(self, request: web.Request) -> web.Response:
        self._authenticate(_authorization(request))
        status = Status(
            load=self._plate.load,
            runs=self._executors.runs,
            waiting=self._turns.waiting,
            executors=len(self._executors),
            programs=self._executors.programs,
            backing_off=self._executors.backing_off(),
        )
        return json_response(status)

    async def run_log(self, request: web.Request) -> web.StreamResponse:
        self._authenticate(_authorization(request))
        run_id = request.match_info["run_id"]
        log = self._logs.find(run_id)
        if log is None:
            raise _not_here(run_id)
        to_the_end = request.query.get("follow", "true") != "false"
        return await self._streams.send(request, log.follow(to_the_end=to_the_end), NDJSON)

    async def end_run(self, request: web.Request) -> web.Response:
        self._authenticate(_authorization(request))
        run_id = request.match_info["run_id"]
        if not self._tasks.end(run_id):
            raise _not_here(run_id)
        return web.Response(status=204)

    def _authenticate(self, header: str) -> None:
        # As it stands first, since that is how the manager sends it with every task.
        if not same_secret(header, self._expected) and not self._are_right(parse_basic(header)):
            message = "the credentials that this worker gave its manager are needed here"
            raise Refusal(401, message, {"WWW-Authenticate": 'Basic realm="malgomaj"'})

    def _are_right(self, given: BasicCredentials | None) -> bool:
        known = self._credentials
        return given is not None and (same_secret(given.user, known.user) & same_secret(given.password, known.password))

    def _check(self, task: Task) -> None:
        """Refuse what this worker cannot run, before anything is spent on it."""
        if task.language not in self._languages:
            raise Refusal(400, f"language '{task.language}' is not run here; run here: {', '.join(self._languages)}")
        if len(task.source_code) > self._limits.source_bytes:
            raise Refusal(413, f"the source code exceeds limits.source_bytes ({self._limits.source_bytes} bytes)")
        if task.http is not None and len(task.http.body) > self._limits.body_bytes:
            raise Refusal(413, f"the call's body exceeds limits.body_bytes ({self._limits.body_bytes} bytes)")


def _authorization(request: web.Request) -> str:
    return request.headers.get("Authorization", "")


async def _next(lines: AsyncIterator[bytes], model: type[ModelT]) -> ModelT:
    """The next line, which must be there. Raises Refusal."""
    return parse_model(await anext(lines, b""), model)


def _not_here(run_id: str) -> Refusal:
    return Refusal(404, f"no run {run_id!r} is under way here")


RUN_TASK = "Run a program and answer when it has ended"
TASK_ANSWERS = {
    200: Answer(
        "The program ended well: what it wrote, or a report where the task asks for one. X-Expires says until when "
        "the compiled program stays cached, unless its memory is needed for others or the executor crashes.",
        Report,
        REPORT_CONTENT_TYPE,
    ),
    400: Answer("Not JSON, or a language that is not run here."),
    401: Answer("No credentials, or wrong ones."),
    409: Answer("The task came with the digest of its source code, which is not kept here; nothing ran."),
    413: Answer("The source code or the body is too large."),
    422: Answer("Fields are missing or wrong."),
    429: Answer(
        "The worker or the domain has enough to do, or had until the deadline had passed, or the domain's programs "
        "crashed executors again and again; nothing ran. Retry-After says when to ask again (s)."
    ),
    500: Answer("The program did not end well: why and where, or a report where the task asks for one."),
    503: Answer("The worker is about to stop."),
}
BATCH_ANSWERS = {
    200: Answer(
        "A line of JSON for each task, as they end: a report, or why it was not begun. The tasks of all lines of the "
        "body are numbered together, from 0.",
        BatchLine,
        NDJSON,
    ),
    400: Answer("Not JSON."),
    401: Answer("No credentials, or wrong ones."),
    413: Answer("The tasks are too large together."),
    422: Answer("Fields are missing or wrong, or there are too many tasks in a line."),
}
HELD_ANSWERS = {
    **BATCH_ANSWERS,
    200: Answer(
        "The same lines. What was sent is held until a line has come with a BeginWord: the `without` of these tasks, "
        "by index, that are not to begin after all. If it does not come, nothing is begun.",
        BatchLine,
        NDJSON,
    ),
}
STATUS_ANSWERS = {200: Answer("Its load.", Status), 401: Answer("No credentials, or wrong ones.")}
RUN_LOG_ANSWERS = {
    200: Answer("A line of JSON for each log line; an empty line is a sign of life.", content_type=NDJSON),
    401: Answer("No credentials, or wrong ones."),
    404: Answer("No such run is under way here."),
    429: Answer("Too many logs are followed already."),
}
END_RUN_ANSWERS = {
    204: Answer("It is about to end."),
    401: Answer("No credentials, or wrong ones."),
    404: Answer("No such run is under way here."),
}

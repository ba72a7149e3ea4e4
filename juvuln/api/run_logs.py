"""The log of a run, while it runs and afterwards: `/v2/programs/{uuid}/runs/{id}/log`."""

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiohttp import web

from juvuln.api.guards import still_allowed
from juvuln.api.programs import AWAY, DENIED
from juvuln.api.queries import flag
from juvuln.api.runs import recorded_run
from juvuln.api.services import Services
from juvuln.clock import from_ms
from juvuln.run_logs import LogLines
from juvuln.runs.run import RecordedRun
from shared.errors import SelfhostError
from shared.http import Answer, Parameter, Refusal, Route
from shared.share import has_share
from shared.streams import NDJSON
from shared.terminal import harmless
from shared.wire import LogLine


class NoLongerAllowedError(SelfhostError):
    """Who follows a log may not read it any more."""


class RunLogApi:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._readers: Counter[str] = Counter()
        """How many logs each domain reads at this moment."""

    def routes(self) -> list[Route]:
        answers = {
            200: Answer(
                "a line for each: time, level, message; JSON lines where Accept asks for application/x-ndjson",
                content_type="text/plain",
            ),
            400: Answer("a parameter is wrong"),
            404: Answer("no such run"),
            429: Answer("too many logs are followed already"),
        }
        return [
            Route(
                "GET",
                "/v2/programs/{uuid}/runs/{id}/log",
                self.log,
                "What a run has logged",
                {**DENIED, **AWAY, **answers},
                query=[
                    Parameter(
                        "follow",
                        "go on with what comes until the run ends; an empty line is a sign of life (false)",
                        {"type": "boolean"},
                    )
                ],
                security=["domain"],
            )
        ]

    async def log(self, request: web.Request) -> web.StreamResponse:
        follow = flag(request, "follow")
        run = await recorded_run(self._services, request)
        logs, streams = self._services.run_logs, self._services.streams
        lines = self._while_allowed(request, run, logs.follow(run)) if follow else logs.so_far(run)
        if streams.free and not has_share(self._readers[run.domain], streams.free):
            raise Refusal(429, f"domain {run.domain} follows its share of logs already", {"Retry-After": "5"})
        self._readers[run.domain] += 1
        try:
            if NDJSON in request.headers.get("Accept", ""):
                return await streams.send(request, _json(lines), NDJSON)
            return await streams.send(request, _text(lines), "text/plain")
        finally:
            self._readers[run.domain] -= 1

    async def _while_allowed(self, request: web.Request, run: RecordedRun, lines: LogLines) -> LogLines:
        """The lines, as long as the caller may read them: a run can take longer than it takes to revoke a token."""
        async with aclosing(lines):
            async for line in lines:
                if not await still_allowed(self._services, request, "read", f"programs/{run.program_uuid}"):
                    raise NoLongerAllowedError("the token was revoked, or no policy lets it read the program any more")
                yield line


async def _json(lines: LogLines) -> AsyncGenerator[bytes, None]:
    async with aclosing(lines):
        async for line in lines:
            yield line.model_dump_json().encode() + b"\n"


async def _text(lines: LogLines) -> AsyncGenerator[bytes, None]:
    async with aclosing(lines):
        async for line in lines:
            yield _shown(line).encode() + b"\n"


def _shown(line: LogLine) -> str:
    """On one line, and harmless to the terminal that it is likely to be shown on."""
    at = from_ms(line.at_ms).isoformat(timespec="milliseconds").removesuffix("+00:00")
    return f"{at}Z {line.level} {harmless(line.message, keep=chr(9))}"

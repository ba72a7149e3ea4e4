"""The record of runs, for those who may read the program."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web
from pydantic import TypeAdapter

from juvuln.access import Principal
from juvuln.api.guards import program_uuid, require_access, require_principal
from juvuln.api.programs import AWAY, DENIED
from juvuln.api.queries import texts, whole_number
from juvuln.api.services import Services
from juvuln.api.views import RunView
from juvuln.runs.run import RecordedRun
from shared.http import Answer, Parameter, Refusal, Route, json_response
from shared.wire import Outcome

MAX_LIMIT = 500
MOST_PAGES = 50
"""How far back one call looks for runs among those of programs that the user may not read."""
RUN_ID = re.compile(r"[0-9a-f-]{36}")
RUNNING = "running"
OUTCOMES: Mapping[str, Outcome | None] = {RUNNING: None, **{outcome.value: outcome for outcome in Outcome}}

_runs = TypeAdapter(list[RunView])


@dataclass(frozen=True, slots=True)
class Asked:
    """Which runs are asked for."""

    limit: int
    before: str | None
    """Only those before the one with this id."""
    outcomes: Collection[Outcome | None]
    """None stands for runs under way; nothing at all for every outcome."""


class RunApi:
    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        usual = {**DENIED, **AWAY}
        outcomes = {"type": "array", "items": {"type": "string", "enum": list(OUTCOMES)}}
        run_id = {"type": "string", "pattern": f"^{RUN_ID.pattern}$"}
        pages = [
            Parameter("limit", "how many at most (20)", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}),
            Parameter("before", "only runs before the one with this id, for the next page", run_id),
            Parameter("outcome", "only runs that ended so, or are under way; may be repeated", outcomes),
        ]
        listed = {200: Answer("the runs; Link names the next page", list[RunView]), 400: Answer("a parameter is wrong")}
        return [
            Route(
                "GET",
                "/v2/runs",
                self.of_domain,
                "Runs of all programs that you may read, newest first",
                listed | usual,
                query=pages,
                security=["domain"],
            ),
            Route(
                "GET",
                "/v2/programs/{uuid}/runs",
                self.of_program,
                "Runs of a program, newest first",
                listed | usual | {404: Answer("no such program")},
                query=pages,
                security=["domain"],
            ),
            Route(
                "GET",
                "/v2/programs/{uuid}/runs/{id}",
                self.one,
                "A run",
                {200: Answer("the run", RunView), 404: Answer("no such run")} | usual,
                security=["domain"],
            ),
        ]

    async def of_domain(self, request: web.Request) -> web.Response:
        principal = await require_principal(self._services, request)
        return _page(request, *await self._readable(principal, _asked(request)))

    async def of_program(self, request: web.Request) -> web.Response:
        principal, uuid = await require_principal(self._services, request), program_uuid(request)
        require_access(principal, "read", f"programs/{uuid}")
        asked = _asked(request)
        runs = await self._services.record.history(
            principal.domain, program=uuid, outcomes=asked.outcomes, limit=asked.limit + 1, before=asked.before
        )
        if not runs and (store := self._services.domains.store(principal.domain)):
            await store.specification(uuid)  # an unknown program is not one that has not run
        return _page(request, runs[: asked.limit], _last_of_more(runs, asked.limit))

    async def one(self, request: web.Request) -> web.Response:
        return json_response(RunView.of(await recorded_run(self._services, request)))

    async def _readable(self, principal: Principal, asked: Asked) -> tuple[Sequence[RecordedRun], str | None]:
        """Runs of programs that the user may read, and before which run to go on, if there may be more."""
        runs: list[RecordedRun] = []
        before = asked.before
        for _ in range(MOST_PAGES):
            read = await self._services.record.history(
                principal.domain, outcomes=asked.outcomes, limit=asked.limit + 1, before=before
            )
            runs += [run for run in read if principal.may("read", f"programs/{run.program_uuid}")]
            if len(runs) > asked.limit or len(read) <= asked.limit:
                return runs[: asked.limit], _last_of_more(runs, asked.limit)
            before = read[-1].id
        return runs, before


async def recorded_run(services: Services, request: web.Request) -> RecordedRun:
    """The run that the path names, for who may read its program. Raises Refusal."""
    principal, uuid = await require_principal(services, request), program_uuid(request)
    require_access(principal, "read", f"programs/{uuid}")
    run_id = request.match_info["id"]
    run = await services.record.get(principal.domain, run_id) if RUN_ID.fullmatch(run_id) else None
    if run is None or run.program_uuid != str(uuid):
        raise Refusal(404, f"program {uuid} has no run {run_id!r}")
    return run


def _asked(request: web.Request) -> Asked:
    limit = whole_number(request, "limit", default=20, low=1, high=MAX_LIMIT)
    before = request.query.get("before")
    if before is not None and not RUN_ID.fullmatch(before):
        raise Refusal(400, "before: must be the id of a run")
    named = texts(request, "outcome")
    if not OUTCOMES.keys() >= set(named):
        raise Refusal(400, f"outcome: must be one of {', '.join(OUTCOMES)}")
    return Asked(limit, before, {OUTCOMES[name] for name in named})


def _last_of_more(runs: Sequence[RecordedRun], limit: int) -> str | None:
    """The id of the last run on a page, if more come after it."""
    return runs[limit - 1].id if len(runs) > limit else None


def _page(request: web.Request, runs: Sequence[RecordedRun], last: str | None) -> web.Response:
    headers = {}
    if last is not None:
        kept = [(name, value) for name, value in request.query.items() if name in ("limit", "outcome")]
        headers["Link"] = f'<{request.rel_url.with_query([*kept, ("before", last)])}>; rel="next"'
    body = _runs.dump_json([RunView.of(run) for run in runs])
    return web.Response(body=body, content_type="application/json", headers=headers)

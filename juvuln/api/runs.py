"""The record of runs, for those who may read the program."""

import re
from collections.abc import Sequence

from aiohttp import web
from pydantic import TypeAdapter

from juvuln.api.guards import program_uuid, require_access, require_principal
from juvuln.api.programs import AWAY, DENIED
from juvuln.api.queries import whole_number
from juvuln.api.services import Services
from juvuln.api.views import RunView
from juvuln.runs.run import RecordedRun
from shared.http import Answer, Parameter, Refusal, Route, json_response

MAX_LIMIT = 500
MOST_PAGES = 50
"""How far back runs are looked for among those of programs that the user may not read."""
RUN_ID = re.compile(r"[0-9a-f-]{36}")

_runs = TypeAdapter(list[RunView])


class RunApi:
    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        usual = {**DENIED, **AWAY}
        pages = [
            Parameter("limit", "how many at most (20)", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}),
            Parameter("before", "only runs before the one with this id, for the next page"),
        ]
        listed = {200: Answer("the runs", list[RunView]), 400: Answer("a parameter is wrong")}
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
        limit, before = _page(request)
        runs: list[RecordedRun] = []
        for _ in range(MOST_PAGES):
            page = await self._services.record.history(principal.domain, limit=limit, before=before)
            runs += [run for run in page if principal.may("read", f"programs/{run.program_uuid}")]
            if len(runs) >= limit or len(page) < limit:
                break
            before = page[-1].id
        return _list(runs[:limit])

    async def of_program(self, request: web.Request) -> web.Response:
        principal, uuid = await require_principal(self._services, request), program_uuid(request)
        require_access(principal, "read", f"programs/{uuid}")
        limit, before = _page(request)
        runs = await self._services.record.history(principal.domain, program=uuid, limit=limit, before=before)
        if not runs and (store := self._services.domains.store(principal.domain)):
            await store.specification(uuid)  # an unknown program is not one that has not run
        return _list(runs)

    async def one(self, request: web.Request) -> web.Response:
        principal, uuid = await require_principal(self._services, request), program_uuid(request)
        require_access(principal, "read", f"programs/{uuid}")
        run_id = request.match_info["id"]
        run = await self._services.record.get(principal.domain, run_id) if RUN_ID.fullmatch(run_id) else None
        if run is None or run.program_uuid != str(uuid):
            raise Refusal(404, f"program {uuid} has no run {run_id!r}")
        return json_response(RunView.of(run))


def _page(request: web.Request) -> tuple[int, str | None]:
    """How many runs are asked for, and before which."""
    limit = whole_number(request, "limit", default=20, low=1, high=MAX_LIMIT)
    before = request.query.get("before")
    if before is not None and not RUN_ID.fullmatch(before):
        raise Refusal(400, "before: must be the id of a run")
    return limit, before


def _list(runs: Sequence[RecordedRun]) -> web.Response:
    return web.Response(body=_runs.dump_json([RunView.of(run) for run in runs]), content_type="application/json")

"""Running a program by hand: `POST /v2/programs/{uuid}/run`."""

from aiohttp import web

from juvuln.api.guards import program_uuid, require_access, require_principal, store_of
from juvuln.api.programs import AWAY, DENIED, UNKNOWN
from juvuln.api.queries import flag
from juvuln.api.services import Services
from juvuln.api.views import RunView
from juvuln.api.webhooks import program_call
from juvuln.programs import Program
from juvuln.runs.run import Ending, ProgramCall, RecordedRun, Run, Trigger
from shared.http import Answer, Parameter, Refusal, Route, json_response, read_body
from shared.wire import ProgramType


class RunNowApi:
    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        answers = {
            200: Answer("the run, which has ended; how, its outcome says", RunView),
            202: Answer("the run, which is on record; Location says where to read what becomes of it", RunView),
            400: Answer("a parameter is wrong, or a routine is given a body"),
            408: Answer("the body did not come in time"),
            409: Answer("a module, not active, or without signed code"),
            413: Answer("the body is too large"),
            429: Answer("too many calls are under way"),
            503: Answer("the domain's database is away, or the run cannot be put on record, or the manager ends"),
        }
        return [
            Route(
                "POST",
                "/v2/programs/{uuid}/run",
                self.run,
                "Run a program now: a webhook gets this call's headers and body, a routine gets nothing",
                {**DENIED, **UNKNOWN, **AWAY, **answers},
                request_content_type="*/*",
                query=[Parameter("async", "answer as soon as the run is on record (false)", {"type": "boolean"})],
                security=["domain"],
            )
        ]

    async def run(self, request: web.Request) -> web.Response:
        principal, uuid = await require_principal(self._services, request), program_uuid(request)
        require_access(principal, "create", f"programs/{uuid}/run")
        in_background = flag(request, "async")
        calls = self._services.calls
        calls.check(principal.domain)
        body = await read_body(request, self._services.settings.limits.body_bytes)
        specification = await store_of(self._services, principal).specification(uuid)
        program = await calls.runnable(principal.domain, specification)
        call = _call(program, request, body)
        if in_background:
            run = await calls.start(program, Trigger.MANUAL, call)
            headers = {"Location": f"/v2/programs/{uuid}/runs/{run.id}"}
            return json_response(self._view(run, None), status=202, headers=headers)
        run, result = await calls.call(program, Trigger.MANUAL, call)
        view = self._view(run, result.ending)
        if not principal.may_read_runs_of(uuid):
            view = view.model_copy(update={"error": None, "log": []})
        return json_response(view)

    def _view(self, run: Run, ending: Ending | None) -> RunView:
        return RunView.of(RecordedRun.of(run, self._services.record.manager, ending))


def _call(program: Program, request: web.Request, body: bytes) -> ProgramCall | None:
    """What the program is called with. Raises Refusal."""
    if program.type is ProgramType.WEBHOOK:
        return program_call(request, body)
    if body:
        raise Refusal(400, f"{program.name} is a {program.type.value}, which takes no body")
    return None

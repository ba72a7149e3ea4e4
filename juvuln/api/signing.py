"""Signing a revision: `/v2/programs/{uuid}/revisions/{revision}/sign`. It compiles first."""

from aiohttp import web

from juvuln.api.code import numbered, revision_number
from juvuln.api.guards import program_uuid, require_access, require_principal, store_of
from juvuln.api.programs import AWAY, DENIED, UNKNOWN
from juvuln.api.queries import flag
from juvuln.api.services import Services
from shared.http import Answer, Parameter, Refusal, Route, json_response
from shared.wire import ErrorBody, ProgramError, as_one_error
from tengo_bridge.compiler import NoCompiler


class CompileRefusal(ErrorBody):
    """Code that does not compile. ``message`` says what is wrong and where."""

    error: ProgramError


class SigningApi:
    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        answers = {
            204: Answer("signed, now or before"),
            400: Answer("a parameter is wrong"),
            422: Answer("the code does not compile; nothing was signed", CompileRefusal),
            503: Answer("the domain's database is away, or no compiler can be started"),
        }
        return [
            Route(
                "PUT",
                "/v2/programs/{uuid}/revisions/{revision}/sign",
                self.sign,
                "Sign a revision, if it compiles",
                {**DENIED, **UNKNOWN, **AWAY, **answers},
                query=[Parameter("force", "sign it even if it does not compile (false)", {"type": "boolean"})],
                security=["domain"],
            )
        ]

    async def sign(self, request: web.Request) -> web.Response:
        principal, uuid = await require_principal(self._services, request), program_uuid(request)
        revision, force = revision_number(request), flag(request, "force")
        require_access(principal, "update", f"programs/{uuid}/revisions/{revision}")
        store = store_of(self._services, principal)
        specification = await store.specification(uuid)
        if numbered(await store.revisions(uuid), revision).signed is not None:
            return web.Response(status=204)
        if not force:
            code = await store.code(uuid, revision)
            try:
                faults = await self._services.compile_check.faults(store, specification, code)
            except NoCompiler as error:
                raise Refusal(503, f"{error}; ?force=true signs without compiling", {"Retry-After": "5"}) from error
            if faults:
                return _refused(as_one_error(faults))
        await store.sign_revision(uuid, revision, principal.user, self._services.clock.now())
        await self._services.domains.refresh(principal.domain)
        return web.Response(status=204)


def _refused(error: ProgramError) -> web.Response:
    where = f"{error.stack[0]}: " if error.stack else ""
    message = f"{where}{error.kind} error: {error.message}; not signed (?force=true signs it nevertheless)"
    return json_response(CompileRefusal(code=422, message=message, error=error), status=422)

"""`/v2/programs`: a domain's users manage its programs (Self-host contract)."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar
from uuid import uuid4

from aiohttp import web
from pydantic import BaseModel, TypeAdapter

from juvuln.api.checks import check_specification
from juvuln.api.guards import program_uuid, require_access, require_principal, store_of
from juvuln.api.queries import CURSOR, cursor, one_text, position, texts, whole_number
from juvuln.api.services import Services
from juvuln.api.views import STORABLE, NewProgram, ProgramChanges, ProgramView
from juvuln.domains.listing import Position
from juvuln.domains.store import Specification
from shared.http import Answer, Parameter, Route, json_response, read_model

MAX_JSON_BYTES = 64 * 1024
MAX_LIMIT = 1000
MAX_OFFSET = 2**31 - 1
DENIED: Final = {
    401: Answer("no or wrong credentials", headers={"WWW-Authenticate": "how to show them"}),
    403: Answer("no policy allows it"),
    429: Answer("too many calls, or too many with wrong credentials", headers={"Retry-After": "seconds"}),
}
UNKNOWN: Final = {404: Answer("no such program")}
AWAY: Final = {503: Answer("the domain's database is away", headers={"Retry-After": "seconds"})}

ModelT = TypeVar("ModelT", bound=BaseModel)
_programs = TypeAdapter(list[ProgramView])


class ProgramApi:
    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        refused = {
            400: Answer("not JSON, or a field is missing or wrong"),
            409: Answer("it contradicts what is stored"),
            408: Answer("the body did not come in time"),
            413: Answer("the body is too large"),
        }
        found = {200: Answer("the program", ProgramView)}
        usual = {**DENIED, **AWAY}
        one = "/v2/programs/{uuid}"
        integer = {"type": "integer", "minimum": 0}
        tags = {"type": "array", "items": {"type": "string", "pattern": STORABLE}}
        return [
            Route(
                "GET",
                "/v2/programs",
                self.list,
                "The programs that you may read, by name",
                {
                    200: Answer("the programs", list[ProgramView], headers={"Link": "the next page, if there is one"}),
                    400: Answer("a parameter is wrong"),
                }
                | usual,
                query=[
                    Parameter(
                        "limit", "how many at most", {**integer, "minimum": 1, "maximum": MAX_LIMIT, "default": 20}
                    ),
                    Parameter(
                        "offset", "how many to leave out first", {**integer, "maximum": MAX_OFFSET, "default": 0}
                    ),
                    Parameter("after", "where the page before ended", {"type": "string", "pattern": f"^{CURSOR}$"}),
                    Parameter("tags", "only those with one of these tags; may be repeated", tags),
                    Parameter("name", "only those of exactly this name", {"type": "string", "pattern": STORABLE}),
                ],
                security=["domain"],
            ),
            Route(
                "POST",
                "/v2/programs",
                self.create,
                "Create a program, which has no code yet",
                {201: Answer("the program", ProgramView)} | refused | usual,
                request=NewProgram,
                security=["domain"],
            ),
            Route("GET", one, self.get, "A program", found | UNKNOWN | usual, security=["domain"]),
            Route(
                "PUT",
                one,
                self.update,
                "Change some fields of a program",
                {204: Answer("changed")} | refused | UNKNOWN | usual,
                request=ProgramChanges,
                security=["domain"],
            ),
            Route(
                "DELETE",
                one,
                self.delete,
                "Delete a program and its code",
                {204: Answer("deleted")} | UNKNOWN | usual,
                security=["domain"],
            ),
        ]

    async def list(self, request: web.Request) -> web.Response:
        principal = await require_principal(self._services, request)
        limit = whole_number(request, "limit", default=20, low=1, high=MAX_LIMIT)
        offset = whole_number(request, "offset", default=0, low=0, high=MAX_OFFSET)
        all_readable = principal.policies.allow_all("read", "programs/")
        found = await store_of(self._services, principal).programs(
            limit=limit + 1,  # one more than asked for, to know whether there is a next page
            offset=offset,
            after=position(request, "after"),
            tags=texts(request, "tags"),
            name=one_text(request, "name"),
            may_read=None if all_readable else lambda uuid: principal.may("read", f"programs/{uuid}"),
        )
        page = found[:limit]
        headers = {"Link": _link_to_next(request, page[-1])} if len(found) > limit else None
        body = _programs.dump_json([ProgramView.of(specification) for specification in page])
        return web.Response(body=body, content_type="application/json", headers=headers)

    async def create(self, request: web.Request) -> web.Response:
        principal = await require_principal(self._services, request)
        require_access(principal, "create", "programs")
        new = await self._read(request, NewProgram)
        specification = Specification(
            uuid=uuid4(),
            name=new.name,
            type=new.type.value,
            state=new.state.value,
            schedule=new.schedule,
            deadline=new.deadline,
            language=new.language,
            tags=tuple(new.tags or ()),
        )
        self._check(principal.domain, specification, NewProgram.model_fields)
        owners = [] if principal.own_group is None else [principal.own_group]
        await store_of(self._services, principal).create_program(specification, owners, uuid4)
        # The creator's rights have just changed.
        self._services.tokens.forget(principal.domain)
        return json_response(ProgramView.of(specification), status=201)

    async def get(self, request: web.Request) -> web.Response:
        principal, uuid = await require_principal(self._services, request), program_uuid(request)
        require_access(principal, "read", f"programs/{uuid}")
        return json_response(ProgramView.of(await store_of(self._services, principal).specification(uuid)))

    async def update(self, request: web.Request) -> web.Response:
        principal, uuid = await require_principal(self._services, request), program_uuid(request)
        require_access(principal, "update", f"programs/{uuid}")
        changes = (await self._read(request, ProgramChanges)).columns()
        store = store_of(self._services, principal)
        changed = _changed(await store.specification(uuid), changes)
        self._check(principal.domain, changed, changes)
        await store.update_program(uuid, changes)
        await self._services.domains.refresh(principal.domain)
        return web.Response(status=204)

    async def delete(self, request: web.Request) -> web.Response:
        principal, uuid = await require_principal(self._services, request), program_uuid(request)
        require_access(principal, "delete", f"programs/{uuid}")
        await store_of(self._services, principal).delete_program(uuid)
        await self._services.domains.refresh(principal.domain)
        return web.Response(status=204)

    async def _read(self, request: web.Request, model: type[ModelT]) -> ModelT:
        return await read_model(request, model, MAX_JSON_BYTES, invalid_code=400)

    def _check(self, domain: str, specification: Specification, set_now: Collection[str]) -> None:
        zone = self._services.planning.zone_of(domain)
        check_specification(specification, set_now, zone, self._services.clock.now())


def _changed(specification: Specification, changes: Mapping[str, Any]) -> Specification:
    return replace(specification, **{**changes, "tags": tuple(changes.get("tags", specification.tags))})


def _link_to_next(request: web.Request, last: Specification) -> str:
    """The page after the one that ends with ``last``: whatever is added or removed meanwhile, nothing comes twice."""
    kept = [(name, value) for name, value in request.query.items() if name in ("limit", "tags", "name")]
    url = request.rel_url.with_query([*kept, ("after", cursor(Position(last.name, last.uuid)))])
    return f'<{url}>; rel="next"'

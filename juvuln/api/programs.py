"""`/v2/programs`: a domain's users manage its programs (Self-host contract)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar
from uuid import uuid4

from aiohttp import web
from pydantic import BaseModel, TypeAdapter

from juvuln.api.guards import program_uuid, require_access, require_principal, store_of
from juvuln.api.queries import whole_number
from juvuln.api.services import Services
from juvuln.api.views import NewProgram, ProgramChanges, ProgramView
from juvuln.domains.store import Specification
from juvuln.schedule import ScheduleError, first_due, load_zone, parse_schedule
from shared.http import Answer, Parameter, Refusal, Route, json_response, read_model
from shared.wire import ProgramState, ProgramType

MAX_JSON_BYTES = 64 * 1024
MAX_LIMIT = 1000
DENIED: Final = {401: Answer("no or wrong credentials"), 403: Answer("no policy allows it")}
UNKNOWN: Final = {404: Answer("no such program")}
AWAY: Final = {503: Answer("the domain's database is away")}

ModelT = TypeVar("ModelT", bound=BaseModel)
_programs = TypeAdapter(list[ProgramView])


class ProgramApi:
    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        refused = {400: Answer("not JSON, or a field is missing or wrong"), 413: Answer("the body is too large")}
        found = {200: Answer("the program", ProgramView)}
        usual = {**DENIED, **AWAY}
        one = "/v2/programs/{uuid}"
        integer = {"type": "integer", "minimum": 0}
        return [
            Route(
                "GET",
                "/v2/programs",
                self.list,
                "The programs that you may read, by name",
                {200: Answer("the programs", list[ProgramView]), 400: Answer("a parameter is wrong")} | usual,
                query=[
                    Parameter("limit", "how many at most (20)", {**integer, "minimum": 1, "maximum": MAX_LIMIT}),
                    Parameter("offset", "how many to leave out first (0)", integer),
                    Parameter("tags", "only those with one of these tags; may be repeated"),
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
        offset = whole_number(request, "offset", default=0, low=0, high=2**31 - 1)
        tags = set(request.query.getall("tags", []))
        specifications = await store_of(self._services, principal).specifications()
        readable = [
            ProgramView.of(specification)
            for specification in specifications
            if principal.may("read", f"programs/{specification.uuid}")
            and (not tags or not tags.isdisjoint(specification.tags))
        ]
        body = _programs.dump_json(readable[offset : offset + limit])
        return web.Response(body=body, content_type="application/json")

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
            tags=tuple(new.tags),
        )
        self._check_schedule(specification)
        await store_of(self._services, principal).create_program(specification, [principal.own_group], uuid4)
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
        if changed.state == ProgramState.ACTIVE.value or "schedule" in changes:
            self._check_schedule(changed)
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

    def _check_schedule(self, specification: Specification) -> None:
        """Refuse a routine whose schedule cannot be read or can never fire."""
        if specification.type != ProgramType.ROUTINE.value:
            return
        try:
            zone = load_zone(self._services.settings.schedule.zone)
            first_due(parse_schedule(specification.schedule, zone), self._services.clock.now())
        except ScheduleError as error:
            raise Refusal(400, f"schedule: {error}") from error


def _changed(specification: Specification, changes: Mapping[str, Any]) -> Specification:
    return replace(specification, **{**changes, "tags": tuple(changes.get("tags", specification.tags))})

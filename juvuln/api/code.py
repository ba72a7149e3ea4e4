"""The code of programs: `/v2/programs/{uuid}/code`, its revisions and their differences."""

import asyncio
import hashlib
from collections.abc import Sequence

from aiohttp import web
from pydantic import TypeAdapter

from juvuln.api.guards import program_uuid, require_access, require_principal, store_of
from juvuln.api.programs import AWAY, DENIED, UNKNOWN
from juvuln.api.queries import whole, whole_number
from juvuln.api.services import Services
from juvuln.api.views import RevisionView
from juvuln.differences import unified_difference
from juvuln.domains.store import NotFoundError, Revision
from juvuln.programs import LARGEST_REVISION
from shared.http import Answer, Parameter, Refusal, Route, json_response, read_body
from shared.wire import MAX_SOURCE_BYTES

_revisions = TypeAdapter(list[RevisionView])


class CodeApi:
    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        usual = {**DENIED, **AWAY, **UNKNOWN}
        code, revisions = "/v2/programs/{uuid}/code", "/v2/programs/{uuid}/revisions"
        number = {"type": "integer", "minimum": -1, "maximum": LARGEST_REVISION}
        return [
            Route(
                "GET",
                code,
                self.code,
                "The newest signed code, or that of a revision",
                {200: Answer("the code", content_type="text/plain"), 400: Answer("wrong parameter")} | usual,
                query=[Parameter("revision", "this revision, signed or not; -1 is the newest", number)],
                security=["domain"],
            ),
            Route(
                "POST",
                code,
                self.upload,
                "Add code as a new revision, which runs once it is signed",
                {
                    201: Answer("the revision", RevisionView),
                    400: Answer("no code"),
                    408: Answer("the body did not come in time"),
                    411: Answer("no length"),
                    413: Answer("too large"),
                }
                | usual,
                request_content_type="text/plain",
                request_required=True,
                security=["domain"],
            ),
            Route(
                "GET",
                revisions,
                self.list_revisions,
                "All revisions, oldest first",
                {200: Answer("the revisions", list[RevisionView])} | usual,
                security=["domain"],
            ),
            Route(
                "DELETE",
                f"{revisions}/{{revision}}",
                self.delete_revision,
                "Delete a revision",
                {204: Answer("deleted")} | usual,
                security=["domain"],
            ),
            Route(
                "GET",
                "/v2/programs/{uuid}/diff",
                self.diff,
                "The difference between two revisions",
                {200: Answer("a unified diff", content_type="text/plain"), 400: Answer("wrong parameter")} | usual,
                query=[
                    Parameter("rev_a", "the older revision; -1 is the newest", number, required=True),
                    Parameter("rev_b", "the newer revision; -1 is the newest", number, required=True),
                ],
                security=["domain"],
            ),
        ]

    async def code(self, request: web.Request) -> web.Response:
        principal, uuid = await require_principal(self._services, request), program_uuid(request)
        require_access(principal, "read", f"programs/{uuid}/code")
        store = store_of(self._services, principal)
        if "revision" not in request.query:
            return _text(await store.signed_code(uuid))
        number = whole_number(request, "revision", low=-1, high=LARGEST_REVISION)
        revision = numbered(await store.revisions(uuid), number)
        return _text(await store.code(uuid, revision.revision))

    async def upload(self, request: web.Request) -> web.Response:
        principal, uuid = await require_principal(self._services, request), program_uuid(request)
        require_access(principal, "create", f"programs/{uuid}/code")
        if request.content_length is None:
            raise Refusal(411, "the request needs a Content-Length")
        code = await read_body(request, MAX_SOURCE_BYTES)
        if not code:
            raise Refusal(400, "there is no code in the body; with curl: --data-binary @FILE")
        now = self._services.clock.now()
        number = await store_of(self._services, principal).add_revision(uuid, code, principal.user, now)
        added = Revision(number, now, principal.user, None, None, hashlib.sha256(code).digest())
        return json_response(RevisionView.of(added), status=201)

    async def list_revisions(self, request: web.Request) -> web.Response:
        principal, uuid = await require_principal(self._services, request), program_uuid(request)
        require_access(principal, "read", f"programs/{uuid}/revisions")
        revisions = await store_of(self._services, principal).revisions(uuid)
        body = _revisions.dump_json([RevisionView.of(revision) for revision in revisions])
        return web.Response(body=body, content_type="application/json")

    async def delete_revision(self, request: web.Request) -> web.Response:
        principal, uuid = await require_principal(self._services, request), program_uuid(request)
        revision = revision_number(request)
        require_access(principal, "delete", f"programs/{uuid}/revisions/{revision}")
        await store_of(self._services, principal).delete_revision(uuid, revision)
        await self._services.domains.refresh(principal.domain)
        return web.Response(status=204)

    async def diff(self, request: web.Request) -> web.Response:
        principal, uuid = await require_principal(self._services, request), program_uuid(request)
        require_access(principal, "read", f"programs/{uuid}/revisions/diff")
        store = store_of(self._services, principal)
        numbers = [whole_number(request, name, low=-1, high=LARGEST_REVISION) for name in ("rev_a", "rev_b")]
        known = await store.revisions(uuid)
        chosen = [numbered(known, number).revision for number in numbers]
        old, new = [(await store.code(uuid, number)).decode("utf-8", "replace") for number in chosen]
        old_name, new_name = [f"{uuid}@{number}" for number in chosen]
        return _text((await asyncio.to_thread(unified_difference, old, new, old_name, new_name)).encode())


def numbered(revisions: Sequence[Revision], number: int) -> Revision:
    """The revision of that number, or the newest for -1. Raises NotFoundError."""
    if number == -1 and revisions:
        return revisions[-1]
    for revision in revisions:
        if revision.revision == number:
            return revision
    raise NotFoundError(f"the program has no revision {number}")


def revision_number(request: web.Request) -> int:
    """The revision in the path. Raises Refusal(404) for what can be none."""
    text = request.match_info["revision"]
    number = whole(text)
    if number is None or not 0 <= number <= LARGEST_REVISION:
        raise Refusal(404, f"there is no revision {text!r}")
    return number


def _text(content: bytes) -> web.Response:
    return web.Response(body=content, content_type="text/plain", charset="utf-8")

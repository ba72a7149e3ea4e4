"""Calling a webhook: `/v1/webhooks/{domain}/{uuid}`, and `/v2/programs/{uuid}/webhook` for a domain's users."""

import re
from uuid import UUID

from aiohttp import web
from multidict import CIMultiDict

from juvuln.access import Principal
from juvuln.api.guards import is_trusted, program_uuid, require_access, require_caller
from juvuln.api.services import Services
from juvuln.dispatch import Result
from juvuln.runs.run import Trigger
from shared.http import Answer, Refusal, Route, error_response, likely_content_type, read_body
from shared.wire import Outcome, TaskAnswer, TaskRequest

NOT_FOR_PROGRAMS = frozenset({"authorization", "cookie", "proxy-authorization", "content-encoding"})
"""Request headers that carry the caller's credentials, which are no business of the program's; and the encoding of the
body, which is undone by then."""
NOT_FROM_PROGRAMS = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "trailer"})

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_VALUE = re.compile(r"[^\x00\r\n]*")


class WebhookApi:
    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        written = Answer("what the program wrote; it chooses the status", content_type="*/*")
        answers = {
            200: written,
            401: Answer("no or wrong credentials"),
            403: Answer("no policy allows it"),
            429: Answer("too many calls are under way, or too many with wrong credentials"),
            404: Answer("no such active webhook with signed code"),
            408: Answer("the body did not come in time"),
            413: Answer("the body is too large"),
            500: Answer("the program did not end well"),
            502: Answer("no worker took the call, or its answer was lost"),
            503: Answer("the call cannot be put on record, or the manager is about to end"),
        }
        return [
            Route(
                "POST",
                "/v1/webhooks/{domain}/{uuid}",
                self.by_domain,
                "Call a webhook, with the workers' secret or a token of the domain",
                answers,
                request_content_type="*/*",
                other_answer=written,
                security=["worker", "domain"],
            ),
            Route(
                "POST",
                "/v2/programs/{uuid}/webhook",
                self.by_user,
                "Call a webhook",
                answers,
                request_content_type="*/*",
                other_answer=written,
                security=["domain"],
            ),
        ]

    async def by_domain(self, request: web.Request) -> web.Response:
        domain, uuid = request.match_info["domain"], program_uuid(request)
        if is_trusted(self._services, request):
            return await self._call(domain, uuid, request, tell_error=True)
        principal = await require_caller(self._services, request)
        if principal.domain != domain:
            raise Refusal(403, f"the token is not one of domain {domain}")
        return await self._call_as(principal, uuid, request)

    async def by_user(self, request: web.Request) -> web.Response:
        principal, uuid = await require_caller(self._services, request), program_uuid(request)
        return await self._call_as(principal, uuid, request)

    async def _call_as(self, principal: Principal, uuid: UUID, request: web.Request) -> web.Response:
        require_access(principal, "create", f"programs/{uuid}/webhook")
        return await self._call(principal.domain, uuid, request, tell_error=principal.may_read_runs_of(uuid))

    async def _call(self, domain: str, uuid: UUID, request: web.Request, *, tell_error: bool) -> web.Response:
        calls = self._services.calls
        calls.check(domain)
        program = calls.webhook(domain, uuid)
        body = await read_body(request, self._services.settings.limits.body_bytes)
        _, result = await calls.call(program, Trigger.WEBHOOK, task_request(request, body))
        return _response(result, tell_error=tell_error)


def task_request(request: web.Request, body: bytes) -> TaskRequest:
    """A call as the program sees it."""
    names = {name.lower(): name for name in request.headers if name.lower() not in NOT_FOR_PROGRAMS}
    headers = {name: ", ".join(request.headers.getall(name)) for name in names.values()}
    return TaskRequest(
        headers={_text(name): _text(value) for name, value in headers.items()},
        body=body,
        method=request.method,
        path=_text(request.path),
        query=_text(request.rel_url.raw_query_string),
        remote=request.remote or "",
    )


def _text(received: str) -> str:
    """Bytes that are not UTF-8 reach us as halves of surrogate pairs; JSON has no room for them."""
    return received.encode("utf-8", "replace").decode("utf-8")


def _response(result: Result, *, tell_error: bool) -> web.Response:
    ending = result.ending
    if ending.outcome is Outcome.SUCCEEDED:
        return _program_answer(result.answer or TaskAnswer())
    error = str(ending.error) if ending.error and tell_error else None
    message = ending.reason or error or f"the program {ending.outcome.value.replace('_', ' ')}"
    return error_response(502 if ending.outcome in (Outcome.LOST, Outcome.SKIPPED) else 500, message)


def _program_answer(answer: TaskAnswer) -> web.Response:
    if not all(HEADER_NAME.fullmatch(name) and HEADER_VALUE.fullmatch(value) for name, value in answer.headers):
        return error_response(502, "the program's answer has a header that cannot be sent")
    headers = CIMultiDict((name, value) for name, value in answer.headers if name.lower() not in NOT_FROM_PROGRAMS)
    if "Content-Type" not in headers and answer.body:
        headers["Content-Type"] = likely_content_type(answer.body)
    return web.Response(status=answer.status, headers=headers, body=answer.body)

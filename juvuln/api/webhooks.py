"""Calling a webhook: `/v1/webhooks/{domain}/{uuid}`, and `/v2/programs/{uuid}/webhook` for a domain's users."""

import re
from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from aiohttp import web
from multidict import CIMultiDict

from juvuln.access import Principal
from juvuln.api.asking import of_head
from juvuln.api.guards import is_trusted, require_access, require_caller, uuid_of
from juvuln.api.services import Services
from juvuln.programs import Program
from juvuln.runs.run import Ending, ProgramCall, Trigger
from shared.direct import DirectCall
from shared.http import Answer, Refusal, Route, check_size, likely_content_type, read_body
from shared.reply import Reply, error_reply
from shared.wire import Outcome, TaskAnswer

NOT_FOR_PROGRAMS = frozenset({"authorization", "cookie", "proxy-authorization", "content-encoding"})
"""Request headers that carry the caller's credentials, which are no business of the program's; and the encoding of the
body, which is undone by then."""
NOT_FROM_PROGRAMS = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "trailer"})

_Request = web.Request | DirectCall

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")


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
                direct=self.directly_by_domain,
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
                direct=self.directly_by_user,
                request_content_type="*/*",
                other_answer=written,
                security=["domain"],
            ),
        ]

    async def by_domain(self, request: web.Request) -> web.Response:
        return await self._answer(await self._let_in(request), request)

    async def by_user(self, request: web.Request) -> web.Response:
        return await self._answer(await self._let_user_in(request), request)

    async def directly_by_domain(self, call: DirectCall) -> Reply:
        return await self._answer_directly(await self._let_in(call), call)

    async def directly_by_user(self, call: DirectCall) -> Reply:
        return await self._answer_directly(await self._let_user_in(call), call)

    async def _let_in(self, request: _Request) -> "_Called":
        """Raises Refusal, and what there may be against any call."""
        target = _target(request)
        if is_trusted(self._services, request):
            return self._called(target.domain, target, None)
        principal = await require_caller(self._services, request)
        if principal.domain != target.domain:
            raise Refusal(403, f"the token is not one of domain {target.domain}")
        return self._called_by(principal, target)

    async def _let_user_in(self, request: _Request) -> "_Called":
        principal = await require_caller(self._services, request)
        return self._called_by(principal, _target(request))

    def _called_by(self, principal: Principal, target: "_Target") -> "_Called":
        require_access(principal, "create", target.resource)
        return self._called(principal.domain, target, principal)

    def _called(self, domain: str, target: "_Target", principal: Principal | None) -> "_Called":
        calls = self._services.calls
        calls.check(domain)
        return _Called(calls.webhook(domain, target.uuid), principal)

    async def _answer(self, called: "_Called", request: web.Request) -> web.Response:
        body = await read_body(request, self._services.settings.limits.body_bytes)
        return (await self._run(called, program_call(request, body))).response()

    async def _answer_directly(self, called: "_Called", call: DirectCall) -> Reply:
        check_size(call.body, self._services.settings.limits.body_bytes)
        headers = call.from_head(_headers)
        return await self._run(called, ProgramCall(headers, call.body, call.method, call.path, "", call.remote))

    async def _run(self, called: "_Called", call: ProgramCall) -> Reply:
        _, result = await self._services.calls.call(called.program, Trigger.WEBHOOK, call)
        if result.ending.outcome is Outcome.SUCCEEDED:
            return _program_answer(result.answer or TaskAnswer())
        return _failure(result.ending, tell_error=called.may_hear_error())


class _Target(NamedTuple):
    """What the path of a call names."""

    domain: str
    """Empty where it is that of the caller's token."""
    uuid: UUID
    resource: str
    """What a policy must allow."""


class _Called(NamedTuple):
    program: Program
    caller: Principal | None
    """None for one who is trusted like a worker."""

    def may_hear_error(self) -> bool:
        """Whether the caller may hear why it did not end well."""
        return self.caller is None or self.caller.may_read_runs_of(self.program.key.uuid)


def _target(request: _Request) -> _Target:
    """Raises Refusal."""
    return of_head(request, _read_target)


def _read_target(request: _Request) -> _Target:
    names = request.match_info
    uuid = uuid_of(names["uuid"])
    return _Target(names.get("domain", ""), uuid, f"programs/{uuid}/webhook")


def program_call(request: web.Request, body: bytes) -> ProgramCall:
    """A call as the program sees it."""
    return ProgramCall(
        headers=_headers(request),
        body=body,
        method=request.method,
        path=_text(request.path),
        query=_text(request.rel_url.raw_query_string),
        remote=request.remote or "",
    )


def _headers(request: _Request) -> Mapping[str, str]:
    received = request.headers
    names = {name.lower(): name for name in received if name.lower() not in NOT_FOR_PROGRAMS}
    return {_text(name): _text(", ".join(received.getall(name))) for name in names.values()}


def _text(received: str) -> str:
    """Bytes that are not UTF-8 reach us as halves of surrogate pairs; JSON has no room for them."""
    return received.encode("utf-8", "replace").decode("utf-8")


def _failure(ending: Ending, *, tell_error: bool) -> Reply:
    error = str(ending.error) if ending.error and tell_error else None
    message = ending.reason or error or f"the program {ending.outcome.value.replace('_', ' ')}"
    return error_reply(502 if ending.outcome in (Outcome.LOST, Outcome.SKIPPED) else 500, message)


def _program_answer(answer: TaskAnswer) -> Reply:
    if not all(HEADER_NAME.fullmatch(name) and HEADER_VALUE.fullmatch(value) for name, value in answer.headers):
        return error_reply(502, "the program's answer has a header that cannot be sent")
    headers = CIMultiDict((name, value) for name, value in answer.headers if name.lower() not in NOT_FROM_PROGRAMS)
    if "Content-Type" not in headers and answer.body:
        headers["Content-Type"] = likely_content_type(answer.body)
    return Reply(answer.status, answer.body, headers)

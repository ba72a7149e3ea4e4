"""Calling a webhook: `/v1/webhooks/{domain}/{uuid}`, and `/v2/programs/{uuid}/webhook` for a domain's users."""

import re
from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from juvuln.access import Principal
from juvuln.api.asking import Asking
from juvuln.api.guards import is_trusted, require_access, require_caller, uuid_of
from juvuln.api.services import Services
from juvuln.dispatch import Result
from juvuln.programs import Program
from juvuln.runs.run import Trigger
from shared.direct import DirectCall
from shared.http import Answer, Refusal, Route, check_size, likely_content_type, read_body
from shared.reply import Reply, error_reply
from shared.wire import Outcome, TaskAnswer, TaskRequest

NOT_FOR_PROGRAMS = frozenset({"authorization", "cookie", "proxy-authorization", "content-encoding"})
"""Request headers that carry the caller's credentials, which are no business of the program's; and the encoding of the
body, which is undone by then."""
NOT_FROM_PROGRAMS = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "trailer"})

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
        return await self._answer(await self._let_in(request, request.match_info), request)

    async def by_user(self, request: web.Request) -> web.Response:
        return await self._answer(await self._let_user_in(request, request.match_info), request)

    async def directly_by_domain(self, call: DirectCall) -> Reply:
        return await self._answer_directly(await self._let_in(call, call.match_info), call)

    async def directly_by_user(self, call: DirectCall) -> Reply:
        return await self._answer_directly(await self._let_user_in(call, call.match_info), call)

    async def _let_in(self, request: Asking, names: Mapping[str, str]) -> "_Called":
        """Raises Refusal, and what there may be against any call."""
        domain, uuid = names["domain"], uuid_of(names["uuid"])
        if is_trusted(self._services, request):
            return self._called(domain, uuid, tell_error=True)
        principal = await require_caller(self._services, request)
        if principal.domain != domain:
            raise Refusal(403, f"the token is not one of domain {domain}")
        return self._called_by(principal, uuid)

    async def _let_user_in(self, request: Asking, names: Mapping[str, str]) -> "_Called":
        principal = await require_caller(self._services, request)
        return self._called_by(principal, uuid_of(names["uuid"]))

    def _called_by(self, principal: Principal, uuid: UUID) -> "_Called":
        require_access(principal, "create", f"programs/{uuid}/webhook")
        return self._called(principal.domain, uuid, tell_error=principal.may_read_runs_of(uuid))

    def _called(self, domain: str, uuid: UUID, *, tell_error: bool) -> "_Called":
        calls = self._services.calls
        calls.check(domain)
        return _Called(calls.webhook(domain, uuid), tell_error)

    async def _answer(self, called: "_Called", request: web.Request) -> web.Response:
        body = await read_body(request, self._services.settings.limits.body_bytes)
        return (await self._run(called, task_request(request, body))).response()

    async def _answer_directly(self, called: "_Called", call: DirectCall) -> Reply:
        check_size(call.body, self._services.settings.limits.body_bytes)
        return await self._run(
            called,
            TaskRequest(
                headers=_headers(call.headers), body=call.body, method=call.method, path=call.path, remote=call.remote
            ),
        )

    async def _run(self, called: "_Called", request: TaskRequest) -> Reply:
        _, result = await self._services.calls.call(called.program, Trigger.WEBHOOK, request)
        return _reply(result, tell_error=called.tell_error)


class _Called(NamedTuple):
    program: Program
    tell_error: bool
    """Whether the caller may hear why it did not end well."""


def task_request(request: web.Request, body: bytes) -> TaskRequest:
    """A call as the program sees it."""
    return TaskRequest(
        headers=_headers(request.headers),
        body=body,
        method=request.method,
        path=_text(request.path),
        query=_text(request.rel_url.raw_query_string),
        remote=request.remote or "",
    )


def _headers(received: CIMultiDictProxy[str]) -> dict[str, str]:
    names = {name.lower(): name for name in received if name.lower() not in NOT_FOR_PROGRAMS}
    return {_text(name): _text(", ".join(received.getall(name))) for name in names.values()}


def _text(received: str) -> str:
    """Bytes that are not UTF-8 reach us as halves of surrogate pairs; JSON has no room for them."""
    return received.encode("utf-8", "replace").decode("utf-8")


def _reply(result: Result, *, tell_error: bool) -> Reply:
    ending = result.ending
    if ending.outcome is Outcome.SUCCEEDED:
        return _program_answer(result.answer or TaskAnswer())
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

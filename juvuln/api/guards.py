"""Who is asking, and may they? Every guard raises Refusal if not."""

import re
from typing import NamedTuple
from uuid import UUID

from aiohttp import web

from juvuln.access import Action, Principal
from juvuln.api.asking import Asking, of_head
from juvuln.api.services import Services
from juvuln.domains.store import DomainStore
from juvuln.tokens import ShownToken
from shared.auth import parse_basic, parse_bearer, same_secret
from shared.http import Refusal

UUID_TEXT = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
CHALLENGE = {"WWW-Authenticate": 'Basic realm="domain and token"'}


class _Shown(NamedTuple):
    """What a request's Authorization header shows, if it can be read."""

    secret: str | None
    token: ShownToken | None


def _shown(request: Asking) -> _Shown:
    return of_head(request, _read)


def _read(request: Asking) -> _Shown:
    header = request.headers.get("Authorization")
    credentials = parse_basic(header)
    return _Shown(parse_bearer(header), None if credentials is None else ShownToken.of(credentials))


def is_trusted(services: Services, request: Asking) -> bool:
    """Whether the caller shows the secret of manager and workers, or everybody is trusted (``auth: open``)."""
    if services.secret is None:
        return True
    given = _shown(request).secret
    return given is not None and same_secret(given, services.secret)


def require_worker(services: Services, request: web.Request) -> None:
    if not is_trusted(services, request):
        if "Authorization" in request.headers:
            services.rates.failed(request)
        raise Refusal(401, "this call needs the secret that manager and workers share", {"WWW-Authenticate": "Bearer"})


async def require_principal(services: Services, request: web.Request) -> Principal:
    """The user whose domain and token the request carries, if neither the caller nor the domain calls too often.

    Raises DatabaseError while the domain is away.
    """
    services.rates.check_address(request)
    principal = await require_caller(services, request)
    services.rates.check_domain(principal.domain)
    return principal


async def require_caller(services: Services, request: Asking) -> Principal:
    """The same, however often it calls: for webhooks, whose calls are bounded by how many are under way."""
    token = _shown(request).token
    if token is not None and (known := services.tokens.known(token)):
        return known
    # Whoever shares an address with one who guesses is let in while it is remembered.
    services.rates.check_failures(request)
    if token is None:
        if "Authorization" in request.headers:
            services.rates.failed(request)
        raise Refusal(401, "give the domain as user and one of its tokens as password", CHALLENGE)
    principal = await services.tokens.principal(token)
    if principal is None:
        services.rates.failed(request)
        raise Refusal(401, "there is no such domain, or it has no such token", CHALLENGE)
    return principal


def require_access(principal: Principal, action: Action, resource: str) -> None:
    if not principal.may(action, resource):
        raise Refusal(403, f"no policy lets you {action} {resource}")


async def still_allowed(services: Services, request: web.Request, action: Action, resource: str) -> bool:
    """Whether a caller who was let in still would be, for an answer that takes its time. Raises DatabaseError."""
    token = _shown(request).token
    principal = await services.tokens.principal(token) if token else None
    return principal is not None and principal.may(action, resource)


def store_of(services: Services, principal: Principal) -> DomainStore:
    """The database of the principal's domain."""
    store = services.domains.store(principal.domain)
    if store is None:
        raise Refusal(401, "there is no such domain any more", CHALLENGE)
    return store


def program_uuid(request: web.Request) -> UUID:
    """The uuid in the path. What is no uuid names no program."""
    return uuid_of(request.match_info["uuid"])


def uuid_of(text: str) -> UUID:
    if UUID_TEXT.fullmatch(text) is None:
        raise Refusal(404, f"there is no program {text!r}")
    return UUID(text)

"""`/v1/library`: signed modules for workers, by revision."""

from aiohttp import web

from juvuln.api.guards import require_worker
from juvuln.api.queries import whole
from juvuln.api.services import Services
from juvuln.programs import LARGEST_REVISION
from juvuln.storable import is_storable
from shared.http import Answer, Parameter, Refusal, Route


class LibraryApi:
    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        given = {"type": "string", "pattern": r"^[^\x00]+$"}
        number = {"type": "integer", "minimum": 0, "maximum": LARGEST_REVISION}
        revision = {"anyOf": [{"type": "string", "enum": ["latest"]}, number]}
        return [
            Route(
                "GET",
                "/v1/library",
                self.module,
                "The source of a module",
                {
                    200: Answer("the source, with ETag and X-Revision", content_type="text/plain"),
                    304: Answer("unchanged since the ETag in If-None-Match"),
                    400: Answer("a parameter is missing or wrong"),
                    401: Answer("the secret is missing or wrong"),
                    429: Answer("too many with a wrong one", headers={"Retry-After": "seconds"}),
                    404: Answer("no such active module, or not signed"),
                    503: Answer("the domain's database is away"),
                },
                query=[
                    Parameter("domain", "the domain", given, required=True),
                    Parameter("module", "the module's name", given, required=True),
                    Parameter("language", "the module's language", given, required=True),
                    Parameter("revision", "`latest` (the newest signed) or a number", revision, required=True),
                ],
                security=["worker"],
            )
        ]

    async def module(self, request: web.Request) -> web.Response:
        require_worker(self._services, request)
        store = self._services.domains.store(_required(request, "domain"))
        name, language = _required(request, "module"), _required(request, "language")
        revision = _revision(_required(request, "revision"))
        if store is None:
            raise Refusal(404, f"there is no domain {request.query['domain']!r}")
        module = await store.module(name, language, revision)
        headers = {"ETag": f'"{module.checksum.hex()}"', "X-Revision": str(module.revision)}
        if any(tag.value == module.checksum.hex() for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return web.Response(body=module.code, content_type="text/plain", charset="utf-8", headers=headers)


def _required(request: web.Request, name: str) -> str:
    value = request.query.get(name, "")
    if not value or not is_storable(value):
        raise Refusal(400, f"{name}: this parameter is needed")
    return value


def _revision(text: str) -> int | None:
    if text == "latest":
        return None
    number = whole(text)
    if number is None or not 0 <= number <= LARGEST_REVISION:
        raise Refusal(400, "revision: must be `latest` or a whole number")
    return number

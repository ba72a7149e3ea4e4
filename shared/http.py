"""The HTTP side that both daemons share: a table of routes, JSON errors, request bodies, and the listening socket."""

import asyncio
import errno
import functools
import socket
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog
from aiohttp import ClientConnectorError, web
from aiohttp.typedefs import Handler, Middleware
from pydantic import BaseModel, ValidationError

from shared.config import ConnectionLimits
from shared.connections import ConnectionCount, Connections, LateBodyError
from shared.daemon import supervise
from shared.direct import Answering, DirectCall, DirectHandler, DirectRoutes
from shared.errors import SelfhostError, StartError
from shared.lines import LongLineError, lines_of
from shared.reply import NO_HEADERS, Reply, error_reply

ModelT = TypeVar("ModelT", bound=BaseModel)
BACKLOG = 1024
"""Connections that may wait to be taken."""

INTERNAL_ERROR = "internal error; the daemon's log has the details"

MOST_FAULTS = 10
"""Of a request's faults, those that are told at once."""

_SHORTCUTS = web.AppKey("_SHORTCUTS", dict[tuple[str, str], Handler])
"""The handlers, middlewares around them, of the routes with a shortcut, by method and path."""

_DIRECT = web.AppKey("_DIRECT", DirectRoutes)
"""The handlers of the routes with a direct way."""

log = structlog.get_logger()


class Refusal(SelfhostError):
    """A request that is answered with an HTTP error and ``{"code", "message"}``."""

    def __init__(self, code: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class Answer:
    """One of the answers that a route documents."""

    description: str
    model: Any = None
    """A type that pydantic can describe, for a JSON answer."""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    """What the headers of interest say, by their names; each may be left out."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter."""

    name: str
    description: str
    schema: Mapping[str, object] = field(default_factory=lambda: {"type": "string"})
    required: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """One call: how it is served and what is said of it in the OpenAPI document."""

    method: str
    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    summary: str
    answers: Mapping[int, Answer]
    """By status."""
    request: type[BaseModel] | None = None
    request_content_type: str | None = None
    request_required: bool = False
    """Whether a body that is no JSON must have something in it."""
    other_answer: Answer | None = None
    """With any other status."""
    query: Sequence[Parameter] = ()
    security: Sequence[str] = ()
    shortcut: bool = False
    """Whether its calls pass by aiohttp's router, whose search can cost as much as a call. Their ``match_info`` and
    ``app`` are not there then."""
    direct: DirectHandler | None = None
    """Does the same for calls that come past aiohttp altogether. What it raises is answered as that of the others, but
    for aiohttp's own."""


def error_response(code: int, message: str, headers: Mapping[str, str] = NO_HEADERS) -> web.Response:
    return error_reply(code, message, headers).response()


def json_response(model: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status, text=model.model_dump_json() + "\n", content_type="application/json", headers=headers
    )


def likely_content_type(body: bytes) -> str:
    """For a body of which nobody has said what it is: that of text if it is UTF-8."""
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return "application/octet-stream"
    return "text/plain; charset=utf-8"


RefusalOf = Callable[[Exception], Refusal | None]
"""What a daemon answers an error of its own with; None for an error that nobody expects."""

Answered = Callable[[str | None, int, float], None]
"""Told of every answer: the path of its route, if there is one, its status, and how long it took (s)."""


def _refuses_nothing_else(_error: Exception) -> None:
    return None


def json_errors(refusal_of: RefusalOf = _refuses_nothing_else) -> Middleware:
    """Every error leaves as ``{"code", "message"}`` with the same HTTP status."""

    @web.middleware
    async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as exception:
            if exception.status < 400:
                raise
            kept = {name: value for name, value in exception.headers.items() if name in ("Allow", "Retry-After")}
            return error_response(exception.status, _explain(exception, request), kept)
        except Exception as error:  # noqa: BLE001 - it is logged there
            return _error_reply(error, refusal_of, request.method, request.path).response()

    return answer_errors


def _error_reply(error: Exception, refusal_of: RefusalOf, method: str, path: str) -> Reply:
    refusal = error if isinstance(error, Refusal) else refusal_of(error)
    if refusal is None:
        log.exception("request_failed", method=method, path=path)
        return error_reply(500, INTERNAL_ERROR)
    return error_reply(refusal.code, refusal.message, refusal.headers)


def _counting(answered: Answered, path: str | None = None) -> Middleware:
    """``path``: that of the route, where the router has not found it."""

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.perf_counter()
        response = await handler(request)
        answered(path or _route_path(request), response.status, time.perf_counter() - began)
        return response

    return count


def _route_path(request: web.Request) -> str | None:
    resource = request.match_info.route.resource
    return None if resource is None else resource.canonical


def _answering(
    route: Route, handler: DirectHandler, refusal_of: RefusalOf, answered: Answered | None
) -> tuple[str, str, Answering]:
    """What the middlewares do, for calls that come past aiohttp."""

    async def answer(call: DirectCall) -> bytes:
        began = time.perf_counter()
        try:
            reply = await handler(call)
            encoded = reply.encode()
        except Exception as error:  # noqa: BLE001 - it is logged there
            reply = _error_reply(error, refusal_of, call.method, call.path)
            encoded = reply.encode()
        if answered is not None:
            answered(route.path, reply.status, time.perf_counter() - began)
        return encoded

    return route.method, route.path, answer


def _explain(exception: web.HTTPException, request: web.Request) -> str:
    if isinstance(exception, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(exception.allowed_methods))
        return f"{request.method} is not allowed here; allowed: {allowed}"
    if isinstance(exception, web.HTTPRequestEntityTooLarge):
        return "the request body is too large"
    return (exception.reason or "error").lower()


async def read_body(request: web.Request, max_bytes: int) -> bytes:
    """The request's body.

    Raises Refusal: 413 as soon as it is known to exceed ``max_bytes``, 408 where it does not arrive in time, 400 where
    it ends early or cannot be decoded.
    """
    if _told_bytes(request) > max_bytes:
        raise _too_large(max_bytes)
    content = request.content
    chunks: list[bytes] = []
    size_bytes = 0
    with _body_faults():
        while not content.at_eof():
            chunks.append(await content.readany())
            size_bytes += len(chunks[-1])
            if size_bytes > max_bytes:
                raise _too_large(max_bytes)
    return b"".join(chunks)


@contextmanager
def _body_faults() -> Iterator[None]:
    """Around the reading of a body. Raises Refusal where it cannot be read."""
    try:
        yield
    except LateBodyError as error:
        raise Refusal(408, str(error), {"Connection": "close"}) from error
    except (web.RequestPayloadError, ConnectionResetError) as error:
        raise Refusal(400, "the request body ends early or cannot be decoded", {"Connection": "close"}) from error


async def read_lines(request: web.Request, max_bytes: int) -> AsyncIterator[bytes]:
    """The lines of the request's body as they come, each of at most so many bytes. Raises Refusal like read_body."""
    with _body_faults():
        try:
            async for line in lines_of(request.content.iter_any(), max_bytes):
                yield line
        except LongLineError as error:
            raise _too_large(max_bytes) from error


def _too_large(max_bytes: int) -> Refusal:
    # The rest of the body is not read, so the connection cannot serve another request.
    return Refusal(413, _too_many_bytes(max_bytes), {"Connection": "close"})


def _too_many_bytes(max_bytes: int) -> str:
    return f"the request body exceeds {max_bytes} bytes"


def _told_bytes(request: web.Request) -> int:
    """How long the body is by its head; 0 if that is not told, or in more digits than Python makes a number of."""
    try:
        return request.content_length or 0
    except ValueError:
        return 0


def check_size(body: bytes, max_bytes: int) -> None:
    """Of a body that is there, so that the connection can stay. Raises Refusal."""
    if len(body) > max_bytes:
        raise Refusal(413, _too_many_bytes(max_bytes))


async def read_model(request: web.Request, model: type[ModelT], max_bytes: int, *, invalid_code: int = 422) -> ModelT:
    """The request's JSON body.

    Raises Refusal: 400 not JSON, 413 too large, ``invalid_code`` for missing or wrong fields.
    """
    return parse_model(await read_body(request, max_bytes), model, invalid_code)


def parse_model(body: bytes, model: type[ModelT], invalid_code: int = 422) -> ModelT:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)
        if any(fault["type"] == "json_invalid" for fault in faults):
            raise Refusal(400, f"the body is not JSON: {faults[0]['ctx']['error']}") from None
        lines = [f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}" for fault in faults[:MOST_FAULTS]]
        raise Refusal(invalid_code, "; ".join(lines)) from None


def connection_fault(error: Exception) -> str:
    """What went wrong with a connection to a peer, in the system's words; empty where there are none."""
    if isinstance(error, ClientConnectorError):
        return error.os_error.strerror or str(error.os_error)
    return str(error)


def make_app(
    routes: Sequence[Route],
    *,
    max_body_bytes: int,
    refusal_of: RefusalOf = _refuses_nothing_else,
    answered: Answered | None = None,
) -> web.Application:
    def around(path: str | None = None) -> list[Middleware]:
        counting = [] if answered is None else [_counting(answered, path)]
        return [*counting, json_errors(refusal_of)]

    app = web.Application(middlewares=around(), client_max_size=max_body_bytes)
    app[_SHORTCUTS] = {
        (route.method, route.path): _wrapped(route, around(route.path)) for route in routes if route.shortcut
    }
    app[_DIRECT] = DirectRoutes(
        _answering(route, route.direct, refusal_of, answered) for route in routes if route.direct is not None
    )
    methods: dict[str, set[str]] = defaultdict(lambda: {"OPTIONS"})
    for route in routes:
        app.router.add_route(route.method, route.path, route.handler)
        methods[route.path].add(route.method)
        if route.method == "GET":
            app.router.add_route("HEAD", route.path, route.handler)
            methods[route.path].add("HEAD")
    for path, allowed in methods.items():
        app.router.add_route("OPTIONS", path, _telling(allowed))
    return app


def _telling(methods: Collection[str]) -> Handler:
    """Tells whoever asks, without credentials, which methods there are for a path."""

    async def tell(_request: web.Request) -> web.Response:
        return web.Response(status=204, headers={"Allow": ", ".join(sorted(methods))})

    return tell


def _wrapped(route: Route, middlewares: Sequence[Middleware]) -> Handler:
    """The handler with the middlewares around it, the first outermost."""
    handler: Handler = route.handler
    for middleware in reversed(middlewares):
        handler = functools.partial(middleware, handler=handler)
    return handler


def _pass_by_router(app: web.Application, server: web.Server) -> None:
    """Let the calls of routes with a shortcut go straight to their handlers."""
    shortcuts, routed = app.get(_SHORTCUTS, {}), server.request_handler

    def handle(request: web.BaseRequest) -> Awaitable[web.StreamResponse]:
        handler = shortcuts.get((request.method, request.raw_path))
        # Where the client waits to be asked for the body, it is the router that asks.
        if handler is None or "Expect" in request.headers:
            return routed(request)
        assert isinstance(request, web.Request)  # the server of an application makes no others
        return handler(request)

    server.request_handler = handle


def reserve_address(host: str, port: int, *, port_setting: str) -> list[socket.socket]:
    """Sockets that listen on everything that ``host`` stands for; nobody is answered yet. Raises StartError."""
    sockets: list[socket.socket] = []
    try:
        for family, _, _, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            if family in (socket.AF_INET, socket.AF_INET6):
                sockets.append(socket.create_server(address[:2], family=family, backlog=BACKLOG))
    except OSError as error:
        for each in sockets:
            each.close()
        raise StartError(_cannot_listen(host, port, port_setting, error)) from error
    return sockets


@asynccontextmanager
async def serving(
    app: web.Application,
    sockets: Sequence[socket.socket],
    *,
    limits: ConnectionLimits,
    drain_seconds: float,
    count: ConnectionCount | None = None,
    end_abandoned: bool = False,
) -> AsyncIterator[int]:
    """Serve ``app`` on listening sockets; gives their port. ``count`` tells how many connections are open.

    With ``end_abandoned`` a call is cancelled when the one who waits for its answer has gone.
    At the end no new connection is taken, and requests in progress have ``drain_seconds`` to be answered.
    """
    runner = web.AppRunner(
        app, shutdown_timeout=drain_seconds, handle_signals=False, handler_cancellation=end_abandoned
    )
    await runner.setup()
    assert runner.server is not None
    _pass_by_router(app, runner.server)
    loop = asyncio.get_running_loop()
    connections = Connections(runner.server, limits, count or ConnectionCount(), app.get(_DIRECT, DirectRoutes(())))
    closing_silent = asyncio.create_task(supervise("connections", connections.close_silent))
    servers: list[asyncio.Server] = []
    try:
        servers += [await loop.create_server(connections, sock=each, backlog=BACKLOG) for each in sockets]
        yield sockets[0].getsockname()[1]
    finally:
        closing_silent.cancel()
        for server in servers:
            server.close()
        await connections.finish_calls(drain_seconds)
        await runner.cleanup()
        await asyncio.wait([closing_silent])


@asynccontextmanager
async def listening(
    app: web.Application,
    host: str,
    port: int,
    *,
    port_setting: str,
    drain_seconds: float,
    limits: ConnectionLimits | None = None,
    count: ConnectionCount | None = None,
    end_abandoned: bool = False,
) -> AsyncIterator[int]:
    """:func:`reserve_address` and :func:`serving` in one."""
    sockets = reserve_address(host, port, port_setting=port_setting)
    serving_them = serving(
        app,
        sockets,
        limits=limits or ConnectionLimits(),
        drain_seconds=drain_seconds,
        count=count,
        end_abandoned=end_abandoned,
    )
    async with serving_them as served_port:
        yield served_port


def _cannot_listen(host: str, port: int, port_setting: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken by another program; stop that or set {port_setting}"
    return f"cannot listen on {host}:{port}: {error.strerror}"

"""`/v1/subscribers`: workers introduce themselves, say how busy they are, and leave; operators see and drain them."""

from uuid import UUID

import structlog
from aiohttp import web

from juvuln.api.guards import require_worker
from juvuln.api.services import Services
from juvuln.api.worker_views import StateChange, Workers, worker_views
from juvuln.workers import UnusableSubscriberError, worker_from
from shared.http import Answer, Refusal, Route, json_response, read_model
from shared.wire import Load, Subscriber

MAX_BODY_BYTES = 16 * 1024

log = structlog.get_logger()


class SubscriberApi:
    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        denied = {
            401: Answer("the secret is missing or wrong"),
            429: Answer("too many with a wrong one", headers={"Retry-After": "seconds"}),
        }
        unknown = {404: Answer("no such subscriber")}
        bad = {400: Answer("not JSON"), 413: Answer("too large"), 422: Answer("missing or wrong fields")}
        one = "/v1/subscribers/{uuid}"
        return [
            Route(
                "POST",
                "/v1/subscribers",
                self.subscribe,
                "A worker subscribes to work; the same uuid again replaces it",
                {201: Answer("subscribed")} | denied | bad,
                request=Subscriber,
                security=["worker"],
            ),
            Route(
                "GET", one, self.find, "Is it subscribed?", {204: Answer("yes")} | denied | unknown, security=["worker"]
            ),
            Route(
                "DELETE",
                one,
                self.leave,
                "A worker leaves: it gets no new runs, and is still waited for with those that it has",
                {204: Answer("gone")} | denied,
                security=["worker"],
            ),
            Route(
                "PUT",
                f"{one}/load",
                self.report,
                "A worker reports its load (ms), its sign of life",
                {204: Answer("taken")} | denied | unknown | bad,
                request=Load,
                security=["worker"],
            ),
            Route(
                "GET",
                "/v1/subscribers",
                self.find_all,
                "All workers",
                {200: Answer("by their addresses", Workers)} | denied,
                security=["worker"],
            ),
            Route(
                "PUT",
                f"{one}/state",
                self.change_state,
                "Have a worker get no new runs (drained), or get some again (ready); it keeps those that it has",
                {204: Answer("done")} | denied | unknown | bad,
                request=StateChange,
                security=["worker"],
            ),
        ]

    async def subscribe(self, request: web.Request) -> web.Response:
        require_worker(self._services, request)
        subscriber = await read_model(request, Subscriber, MAX_BODY_BYTES)
        try:
            worker = worker_from(subscriber, self._services.clock.monotonic_seconds(), self._services.clock.now_ms())
        except UnusableSubscriberError as error:
            raise Refusal(422, str(error)) from error
        self._services.workers.subscribe(worker)
        log.info("worker_subscribed", worker=worker.name, languages=sorted(worker.languages))
        return web.Response(status=201)

    async def find(self, request: web.Request) -> web.Response:
        require_worker(self._services, request)
        uuid = _uuid(request)
        if uuid is None or uuid not in self._services.workers:
            raise _unknown(request)
        return web.Response(status=204)

    async def leave(self, request: web.Request) -> web.Response:
        require_worker(self._services, request)
        uuid = _uuid(request)
        worker = self._services.workers.leave(uuid) if uuid else None
        if worker is not None:
            log.info("worker_left", worker=worker.name)
        return web.Response(status=204)

    async def report(self, request: web.Request) -> web.Response:
        require_worker(self._services, request)
        load = await read_model(request, Load, MAX_BODY_BYTES)
        uuid = _uuid(request)
        now = self._services.clock.monotonic_seconds()
        if uuid is None or not self._services.workers.report(uuid, load.load, now):
            raise _unknown(request)
        return web.Response(status=204)

    async def find_all(self, request: web.Request) -> web.Response:
        require_worker(self._services, request)
        return json_response(Workers(workers=worker_views(self._services)))

    async def change_state(self, request: web.Request) -> web.Response:
        require_worker(self._services, request)
        change = await read_model(request, StateChange, MAX_BODY_BYTES)
        uuid = _uuid(request)
        worker = self._services.workers.drain(uuid, drained=change.state == "drained") if uuid else None
        if worker is None:
            raise _unknown(request)
        log.info("worker_state_changed", worker=worker.name, state=change.state, runs=worker.runs)
        return web.Response(status=204)


def _uuid(request: web.Request) -> UUID | None:
    try:
        return UUID(request.match_info["uuid"])
    except ValueError:
        return None


def _unknown(request: web.Request) -> Refusal:
    return Refusal(404, f"there is no subscriber {request.match_info['uuid']!r}")

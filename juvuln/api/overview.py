"""`GET /v1/overview`: how the manager, its domains and its workers are, for who runs them.

It names programs of all domains, so it asks for the secret of manager and workers.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel

from juvuln.api.guards import require_worker
from juvuln.api.services import Services
from juvuln.api.views import RunView
from juvuln.api.worker_views import WorkerView, worker_views
from juvuln.clock import from_ms
from juvuln.database import DatabaseError
from juvuln.domains.domain import Domain
from juvuln.runs.meter import Result
from shared import project_version
from shared.http import Answer, Route, json_response

NEXT = 10
FAILURES = 10
RECORD_SECONDS = 3.0
"""How long the record may take to tell of failures; what is known otherwise does not wait for longer."""


class ManagerView(BaseModel):
    name: str
    """As it is in the record of runs."""
    version: str
    since: datetime
    ready: bool
    problems: dict[str, str]
    """What keeps it from doing all of its work, by part."""


class RunsView(BaseModel):
    """Runs since the manager started."""

    waiting: int
    """For a slot or a worker."""
    under_way: int
    succeeded: int
    failed: int
    """They ran, and did not end well."""
    not_run: int
    """They did not run, or nobody knows."""


class DomainView(BaseModel):
    name: str
    programs: int | None
    """Active routines and webhooks with signed code; null before it was read, like ``faulty`` and ``age_seconds``."""
    faulty: int | None
    """Programs that cannot run for a fault in their rows."""
    age_seconds: float | None
    """How long ago what is known of it was last seen to be so."""
    away: bool
    """Its database does not answer."""
    stale: bool
    """It has been away for so long that its programs are not started any more."""
    problem: str | None
    paused: str | None
    """Why nothing of it is run, if it is paused."""


class NextView(BaseModel):
    due: datetime
    domain: str
    program_uuid: UUID
    program_name: str


class FailureView(RunView):
    domain: str


class Overview(BaseModel):
    at: datetime
    manager: ManagerView
    runs: RunsView
    domains: list[DomainView]
    workers: list[WorkerView]
    next: list[NextView]
    """The next due times, soonest first."""
    failures: list[FailureView] | None
    """Runs that did not succeed lately, newest first; null if the record cannot be read."""


class OverviewApi:
    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        answers = {
            200: Answer("how things are", Overview),
            401: Answer("the secret is missing or wrong"),
            429: Answer("too many with a wrong one", headers={"Retry-After": "seconds"}),
        }
        what = "How the manager, its domains and its workers are"
        return [Route("GET", "/v1/overview", self.overview, what, answers, security=["worker"])]

    async def overview(self, request: web.Request) -> web.Response:
        require_worker(self._services, request)
        failures = await self._failures()
        return json_response(
            Overview(
                at=self._services.clock.now(),
                manager=self._manager(),
                runs=self._runs(),
                domains=sorted(map(self._domain, self._services.domains.all()), key=lambda domain: domain.name),
                workers=worker_views(self._services),
                next=self._next(),
                failures=failures,
            )
        )

    def _manager(self) -> ManagerView:
        problems = self._services.readiness.problems()
        return ManagerView(
            name=self._services.record.manager,
            version=project_version(),
            since=from_ms(self._services.since_ms),
            ready=not problems,
            problems=problems,
        )

    def _runs(self) -> RunsView:
        live, meter = self._services.live, self._services.record.meter
        ended = {result.value: meter.count(result) for result in Result}
        return RunsView(waiting=live.waiting, under_way=live.under_way, **ended)

    def _domain(self, domain: Domain) -> DomainView:
        reading, age_seconds = domain.reading, domain.age_seconds
        return DomainView(
            name=domain.name,
            programs=None if reading is None else len(reading.programs),
            faulty=None if reading is None else len(reading.faults),
            age_seconds=None if age_seconds is None else round(age_seconds, 1),
            away=domain.away,
            stale=domain.hindrance() is not None,
            problem=domain.problem(),
            paused=self._services.pauses.of_domain(domain.name),
        )

    def _next(self) -> list[NextView]:
        return [
            NextView(
                due=from_ms(due_ms),
                domain=program.key.domain,
                program_uuid=program.key.uuid,
                program_name=program.name,
            )
            for program, due_ms in self._services.scheduler.upcoming(NEXT)
        ]

    async def _failures(self) -> Sequence[FailureView] | None:
        try:
            async with asyncio.timeout(RECORD_SECONDS):
                runs = await self._services.record.failures(FAILURES)
        except (DatabaseError, TimeoutError):
            return None  # the readiness tells why
        return [FailureView(domain=run.domain, **RunView.of(run).model_dump(exclude={"log"})) for run in runs]

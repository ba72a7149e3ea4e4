"""When a routine is due, and what was decided about its runs: `GET /v2/programs/{uuid}/schedule`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, Field

from juvuln.api.guards import program_uuid, require_access, require_principal, store_of
from juvuln.api.programs import AWAY, DENIED, UNKNOWN
from juvuln.api.services import Services
from juvuln.domains.store import Specification
from juvuln.policy import RETRYABLE, Missed, Overlap, Policy, policy_of
from juvuln.programs import ProgramKey
from juvuln.schedule import ScheduleError, first_due, parse_schedule, schedule_zone
from shared.http import Answer, Route, json_response
from shared.wire import Outcome, ProgramType

COUNT = 5


class RetryView(BaseModel):
    count: int
    outcomes: list[Outcome]
    backoff_seconds: float


class PolicyView(BaseModel):
    """What holds for the program's runs by schedule, its tags considered."""

    overlap: Overlap
    overlap_limit: int
    missed: Missed
    missed_limit: int
    retry: RetryView
    start_deadline_seconds: float
    jitter_seconds: float
    failures_limit: int

    @classmethod
    def of(cls, policy: Policy) -> "PolicyView":
        retry = RetryView(
            count=policy.retry.count,
            outcomes=[outcome for outcome in RETRYABLE if outcome in policy.retry.outcomes],
            backoff_seconds=policy.retry.backoff_seconds,
        )
        return cls(
            overlap=policy.overlap,
            overlap_limit=policy.overlap_limit,
            missed=policy.missed,
            missed_limit=policy.missed_limit,
            retry=retry,
            start_deadline_seconds=policy.start_deadline_seconds,
            jitter_seconds=policy.jitter_seconds,
            failures_limit=policy.failures_limit,
        )


class ScheduleView(BaseModel):
    next: Annotated[list[datetime], Field(max_length=COUNT)]
    """The next due times, in the schedule's zone; none if it is not run by schedule now."""
    zone: str
    paused: str | None
    """Why it is paused, if it is."""
    fault: str | None
    """What is wrong with the schedule, if anything."""
    tag_faults: list[str]
    """Tags that mean nothing, and why."""
    policy: PolicyView


class ScheduleApi:
    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        return [
            Route(
                "GET",
                "/v2/programs/{uuid}/schedule",
                self.get,
                "When a routine is due, and the policies for its runs",
                {200: Answer("its next due times and policies", ScheduleView)} | DENIED | UNKNOWN | AWAY,
                security=["domain"],
            )
        ]

    async def get(self, request: web.Request) -> web.Response:
        principal, uuid = await require_principal(self._services, request), program_uuid(request)
        require_access(principal, "read", f"programs/{uuid}")
        specification = await store_of(self._services, principal).specification(uuid)
        return json_response(self._view(principal.domain, specification))

    def _view(self, domain: str, program: Specification) -> ScheduleView:
        planning = self._services.planning
        zone = planning.zone_of(domain)
        policy, faults = policy_of(program.tags, planning.policy)
        due: Sequence[datetime] = ()
        fault = None
        if program.type == ProgramType.ROUTINE.value:
            try:
                zone = schedule_zone(program.schedule, zone)
                first_due(parse_schedule(program.schedule, zone), self._services.clock.now())
                due = self._services.scheduler.due_times(ProgramKey(domain, program.uuid), COUNT)
            except ScheduleError as error:
                fault = str(error)
        paused = "paused by the program's tag" if policy.paused else self._services.pauses.of_domain(domain)
        return ScheduleView(
            next=[] if paused else [instant.astimezone(zone) for instant in due],
            zone=str(zone),
            paused=paused,
            fault=fault,
            tag_faults=list(faults),
            policy=PolicyView.of(policy),
        )

"""A webhook's call: on record first, then run, then answered with what the program wrote."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from juvuln.clock import Clock, new_run_id
from juvuln.dispatch import Result
from juvuln.domains.domains import Domains
from juvuln.inflight import InFlight
from juvuln.programs import Program
from juvuln.runs.record import RunRecord
from juvuln.runs.run import Run, Trigger
from shared.errors import SelfhostError
from shared.wire import ProgramType, TaskRequest


class NoSuchWebhookError(SelfhostError):
    """Nothing can be called under this uuid."""


class TooManyCallsError(SelfhostError):
    """As many calls are under way as there may be."""


class StoppingError(SelfhostError):
    """The manager is about to end and takes no more calls."""


class Webhooks:
    def __init__(
        self,
        domains: Domains,
        record: RunRecord,
        execute: Callable[[Run, TaskRequest], Awaitable[Result]],
        clock: Clock,
        *,
        parallel: int,
    ) -> None:
        self._domains = domains
        self._record = record
        self._execute = execute
        self._clock = clock
        self._in_flight = InFlight()
        self._parallel = parallel
        self._stopping = False

    def find(self, domain: str, uuid: UUID) -> Program:
        """The active webhook with signed code. Raises NoSuchWebhookError."""
        program = self._domains.program(domain, uuid)
        if program is None:
            raise NoSuchWebhookError(f"domain {domain} has no active webhook {uuid} with signed code")
        if program.type is not ProgramType.WEBHOOK:
            raise NoSuchWebhookError(f"program {uuid} of domain {domain} is a {program.type.value}, not a webhook")
        return program

    def check(self) -> None:
        """Raises StoppingError or TooManyCallsError if no call is taken now."""
        if self._stopping:
            raise StoppingError("the manager is about to end")
        if len(self._in_flight) >= self._parallel:
            raise TooManyCallsError(f"{self._parallel} calls are under way already; try again in a moment")

    def stop(self) -> None:
        """Take no more calls. Those under way go on."""
        self._stopping = True

    async def finished(self) -> None:
        """Wait until no call is under way."""
        await self._in_flight.idle()

    async def call(self, program: Program, request: TaskRequest) -> Result:
        """Run a webhook.

        Raises StoppingError, TooManyCallsError, or DatabaseError if it cannot be put on record; then it is not run.
        """
        self.check()
        now_ms = self._clock.now_ms()
        run = Run(new_run_id(now_ms), program, Trigger.WEBHOOK, claimed_ms=now_ms)
        with self._in_flight.one():
            await self._record.claim([run])
            return await self._execute(run, request)

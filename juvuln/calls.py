"""What runs because somebody asks for it, as a webhook that is called or by hand: on record first, then run."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

from juvuln.clock import Clock, new_run_id
from juvuln.dispatch import Result
from juvuln.domains.domains import Domains
from juvuln.domains.store import Specification
from juvuln.inflight import InFlight
from juvuln.programs import Program
from juvuln.runs.record import RunRecord
from juvuln.runs.run import ProgramCall, Run, Trigger
from shared.errors import SelfhostError
from shared.share import has_share
from shared.wire import ProgramState, ProgramType


class NoSuchWebhookError(SelfhostError):
    """Nothing can be called under this uuid."""


class NotRunnableError(SelfhostError):
    """The program is there, but cannot be run as it is."""


class TooManyCallsError(SelfhostError):
    """As many calls are under way as there may be, of all domains or of one."""


class StoppingError(SelfhostError):
    """The manager is about to end and takes no more calls."""


class PausedError(SelfhostError):
    """The domain is paused, so nothing of it is run."""


class Calls:
    def __init__(
        self,
        domains: Domains,
        record: RunRecord,
        paused: Callable[[str], str | None],
        execute: Callable[[Run], Coroutine[Any, Any, Result]],
        clock: Clock,
        *,
        parallel: int,
    ) -> None:
        """``paused`` tells why nothing of a domain is run, if it is paused."""
        self._domains = domains
        self._record = record
        self._paused = paused
        self._execute = execute
        self._clock = clock
        self._in_flight = InFlight()
        self._parallel = parallel
        self._stopping = False
        self._tasks: set[asyncio.Task[Result]] = set()
        """Runs that nobody waits for."""

    def webhook(self, domain: str, uuid: UUID) -> Program:
        """The active webhook with signed code. Raises NoSuchWebhookError; PausedError if its domain is paused."""
        program = self._domains.program(domain, uuid)
        if program is None:
            raise NoSuchWebhookError(f"domain {domain} has no active webhook {uuid} with signed code")
        if program.type is not ProgramType.WEBHOOK:
            raise NoSuchWebhookError(f"program {uuid} of domain {domain} is a {program.type.value}, not a webhook")
        self._check_pause(domain)
        return program

    async def runnable(self, domain: str, specification: Specification) -> Program:
        """The program as it would run now, whoever changed it last. Raises NotRunnableError, PausedError."""
        self._check_pause(domain)
        await self._domains.refresh(domain)
        if program := self._domains.program(domain, specification.uuid):
            return program
        raise NotRunnableError(_why_not(specification))

    def _check_pause(self, domain: str) -> None:
        if reason := self._paused(domain):
            raise PausedError(reason)

    def check(self, domain: str) -> None:
        """Raises StoppingError or TooManyCallsError if no call of the domain is taken now."""
        if self._stopping:
            raise StoppingError("the manager is about to end")
        if len(self._in_flight) >= self._parallel:
            raise TooManyCallsError(f"{self._parallel} calls are under way already; try again in a moment")
        if not has_share(self._in_flight.of(domain), self._parallel - len(self._in_flight)):
            raise TooManyCallsError(f"domain {domain} has its share of calls under way; try again in a moment")

    def stop(self) -> None:
        """Take no more calls. Those under way go on."""
        self._stopping = True

    async def finished(self) -> None:
        """Wait until no call is under way."""
        await self._in_flight.idle()

    async def cancel_runs(self) -> None:
        """End the runs that nobody waits for; they are recorded as lost."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def call(self, program: Program, trigger: Trigger, call: ProgramCall | None) -> tuple[Run, Result]:
        """Run a program to its end.

        Raises StoppingError, TooManyCallsError, or DatabaseError if it cannot be put on record; then it is not run.
        """
        domain = program.key.domain
        self.check(domain)
        self._in_flight.enter(domain)
        try:
            run = await self._claimed(program, trigger, call)
            return run, await self._execute(run)
        finally:
            self._in_flight.leave(domain)

    async def start(self, program: Program, trigger: Trigger, call: ProgramCall | None) -> Run:
        """Like :meth:`call`, but wait only until the run is on record."""
        domain = program.key.domain
        self.check(domain)
        self._in_flight.enter(domain)
        try:
            run = await self._claimed(program, trigger, call)
        except BaseException:
            self._in_flight.leave(domain)
            raise
        task = asyncio.get_running_loop().create_task(self._execute(run))
        self._tasks.add(task)
        task.add_done_callback(lambda ended: self._ended(ended, domain))
        return run

    def _ended(self, task: "asyncio.Task[Result]", domain: str) -> None:
        self._tasks.discard(task)
        self._in_flight.leave(domain)

    async def _claimed(self, program: Program, trigger: Trigger, call: ProgramCall | None) -> Run:
        now_ms = self._clock.now_ms()
        run = Run(new_run_id(now_ms), program, trigger, now_ms, call=call)
        if trigger is Trigger.WEBHOOK:
            await self._record.claim_call(run)
        else:
            await self._record.claim([run])
        return run


def _why_not(specification: Specification) -> str:
    who = f"program {specification.uuid}"
    if specification.type == ProgramType.MODULE.value:
        return f"{who} is a module; it runs only as a part of the programs that import it"
    if specification.state != ProgramState.ACTIVE.value:
        return f"{who} is {specification.state}; only active programs run"
    return f"{who} has no signed code that can be run"

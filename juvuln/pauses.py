"""Which domains are paused: by the configuration, or by an operator, of whose word the record's database keeps note."""

import asyncio
from collections.abc import Collection

import structlog

from juvuln.database import DatabaseError
from juvuln.routine import Routine
from juvuln.runs.paused_domains import PausedDomains

LOOK_SECONDS = 2.0

log = structlog.get_logger()


class Pauses:
    def __init__(self, configured: Collection[str], kept: PausedDomains) -> None:
        self._configured = frozenset(configured)
        self._kept = kept
        self._noted: frozenset[str] = frozenset()

    def of_domain(self, domain: str) -> str | None:
        """Why nothing of the domain is run, if it is paused."""
        if domain in self._configured:
            return f"domain {domain} is paused by schedule.paused_domains"
        return f"domain {domain} is paused by an operator" if domain in self._noted else None

    def of_routine(self, routine: Routine) -> str | None:
        """Why a routine is not run, if it is paused."""
        if routine.policy.paused:
            return "paused by the program's tag"
        return self.of_domain(routine.program.key.domain)

    async def read(self) -> None:
        """Take note of what operators said. Raises DatabaseError."""
        noted = frozenset(await self._kept.all())
        for domain in noted - self._noted:
            log.warning("domain_paused", domain=domain)
        for domain in self._noted - noted:
            log.warning("domain_resumed", domain=domain)
        self._noted = noted

    async def follow(self) -> None:
        """Look again and again, for ever. While the database is away, what was noted last holds."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.read()
            except DatabaseError as error:
                log.debug("pauses_not_read", reason=error.reason)

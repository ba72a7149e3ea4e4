"""All domains: their databases, and the programs in them as last read.

Domains are read side by side, each within its own time. One that is away keeps what is known of it and holds up nobody.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import structlog
from watchfiles import awatch

from juvuln.database import DatabaseError, open_engine
from juvuln.domains.file import read_domain_file
from juvuln.domains.store import DomainStore
from juvuln.programs import Changes, Program, Programs, diff
from shared.errors import ConfigurationError
from shared.health import Readiness

READING = "domains"
"""The name of the problem until all domains were asked for the first time."""

log = structlog.get_logger()


@dataclass(slots=True)
class Domain:
    """A domain and what was last read of it."""

    name: str
    url: str = field(repr=False)
    store: DomainStore
    programs: Programs | None = None
    """None until it was read for the first time."""
    away: bool = False
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True, slots=True)
class DomainChanges:
    """What a reading of a domain brought."""

    domain: str
    changes: Changes
    first: bool
    """Whether this is the domain's first reading since the manager started or the domain was added."""


class Domains:
    """Owns the domains. Every change is told to ``follow``, once and in order for each domain."""

    def __init__(
        self,
        path: Path,
        readiness: Readiness,
        follow: Callable[[DomainChanges], Awaitable[None]],
        *,
        interval_seconds: float,
        timeout_seconds: float,
        parallel: int,
    ) -> None:
        self._path = path
        self._readiness = readiness
        self._follow = follow
        self._interval_seconds = interval_seconds
        self._timeout_seconds = timeout_seconds
        self._parallel = asyncio.Semaphore(parallel)
        # Domains that are away wait for one another, and not in the way of the others.
        self._parallel_away = asyncio.Semaphore(max(1, parallel // 2))
        self._following_file = asyncio.Lock()
        self._file_read: tuple[int, int, int] | None = None
        readiness.set(READING, "not read yet")
        self._domains: dict[str, Domain] = {}

    def names(self) -> Collection[str]:
        return self._domains.keys()

    def store(self, name: str) -> DomainStore | None:
        domain = self._domains.get(name)
        return domain.store if domain else None

    def program(self, name: str, uuid: UUID) -> Program | None:
        """An active routine or webhook with signed code, as last read."""
        domain = self._domains.get(name)
        return domain.programs.get(uuid) if domain and domain.programs else None

    async def load_file(self) -> None:
        """Read the domain file and follow it. Raises ConfigurationError; then everything stays as it was."""
        async with self._following_file:
            self._file_read = self._file_state()
            try:
                urls = read_domain_file(self._path)
            except ConfigurationError as error:
                self._readiness.set("domainfile", str(error))
                raise
            self._readiness.set("domainfile", None)
            for name in [name for name, domain in self._domains.items() if urls.get(name) != domain.url]:
                await self._remove(name, stays=name in urls)
            self._add(urls)

    async def refresh_all(self) -> None:
        """Read all domains. Never raises for one of them: its problem is in the readiness and the log."""
        async with asyncio.TaskGroup() as group:
            for name in list(self._domains):
                group.create_task(self._refresh_in_turn(name))

    async def refresh(self, name: str) -> None:
        """Read one domain now."""
        if domain := self._domains.get(name):
            await self._read(domain)

    async def keep_fresh(self) -> None:
        """Read all domains at every interval, for ever; and the domain file, should its watch have missed a change."""
        while True:
            await self.refresh_all()
            self._readiness.set(READING, None)
            await asyncio.sleep(self._interval_seconds)
            if self._file_state() != self._file_read:
                await self._follow_file()

    async def watch_file(self) -> None:
        """Follow the domain file whenever it changes, for ever.

        The folder is watched, for editors replace a file rather than write to it.
        """
        watched = str(self._path.absolute())
        async for _ in awatch(self._path.absolute().parent, watch_filter=lambda _, path: path == watched, debounce=200):
            await self._follow_file()
            await self.refresh_all()

    async def close(self) -> None:
        for domain in self._domains.values():
            await domain.store.close()

    async def _follow_file(self) -> None:
        try:
            await self.load_file()
        except ConfigurationError as error:
            log.error("domain_file_refused", reason=str(error))
        else:
            log.info("domain_file_read", domains=len(self._domains))

    def _file_state(self) -> tuple[int, int, int] | None:
        """What tells that the file was changed, replaced or, as a link, pointed elsewhere."""
        try:
            state = self._path.stat()
        except OSError:
            return None
        return state.st_mtime_ns, state.st_size, state.st_ino

    def _add(self, urls: Mapping[str, str]) -> None:
        for name, url in urls.items():
            if name not in self._domains:
                self._domains[name] = Domain(name, url, DomainStore(name, open_engine(url)))

    async def _remove(self, name: str, *, stays: bool) -> None:
        """Let go of a domain that is no longer listed, or is listed with another URL (``stays``)."""
        domain = self._domains.pop(name)
        self._readiness.set(_problem(name), None)
        log.info("domain_removed" if not stays else "domain_moved", domain=name)
        await self._follow(DomainChanges(name, diff(domain.programs or {}, {}), first=False))
        await domain.store.close()

    async def _refresh_in_turn(self, name: str) -> None:
        domain = self._domains.get(name)
        async with self._parallel_away if domain is not None and domain.away else self._parallel:
            try:
                await self.refresh(name)
            except Exception:
                # Whatever it is, it is this domain's alone.
                log.exception("domain_not_read", domain=name)
                self._readiness.set(_problem(name), "internal error; the log has the details")

    async def _read(self, domain: Domain) -> None:
        async with domain.reading:
            try:
                read = await self._read_in_time(domain)
                await self._take(domain, read)
            except DatabaseError as error:
                self._away(domain, error.reason if error.what == domain.store.what else str(error))

    async def _read_in_time(self, domain: Domain) -> Programs:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await domain.store.runnable_programs(domain.programs or {})
        except TimeoutError:
            raise DatabaseError(domain.store.what, f"did not answer within {self._timeout_seconds:g} s") from None

    def _away(self, domain: Domain, reason: str) -> None:
        domain.away = True
        known = "not read yet" if domain.programs is None else "going on with what is known"
        log.error("domain_away", domain=domain.name, reason=reason, programs=known)
        self._readiness.set(_problem(domain.name), f"{reason} ({known})")

    async def _take(self, domain: Domain, read: Programs) -> None:
        if self._domains.get(domain.name) is not domain:
            return  # it was removed while it was being read
        first, changes = domain.programs is None, diff(domain.programs or {}, read)
        # Followed first, for should that fail, the next reading must find the same changes.
        await self._follow(DomainChanges(domain.name, changes, first))
        domain.programs, domain.away = read, False
        self._readiness.set(_problem(domain.name), None)
        if first or changes:
            log.info(
                "domain_read",
                domain=domain.name,
                programs=len(read),
                added=len(changes.added),
                changed=len(changes.changed),
                removed=len(changes.removed),
            )


def _problem(domain: str) -> str:
    return f"domain {domain}"

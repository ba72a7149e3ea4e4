"""All domains: which there are, by a file that is followed as it changes, and what is known of their programs."""

import asyncio
from collections.abc import Collection
from pathlib import Path
from uuid import UUID

import structlog

from juvuln.database import DatabaseError
from juvuln.domains.domain import Domain, DomainChanges, Follow, Refreshing
from juvuln.domains.file import read_domain_file
from juvuln.domains.store import DomainStore
from juvuln.programs import Program, diff
from shared.errors import ConfigurationError
from shared.health import Readiness

READING = "domains"
"""The name of the problem while there are domains that were never asked."""
FILE = "domainfile"
LOOK_SECONDS = 1.0
"""Between two looks at the domain file."""

FileState = tuple[int, ...]

log = structlog.get_logger()


class Domains:
    """Owns the domains. Every change is told to the follower, once and in order for each domain."""

    def __init__(self, path: Path, readiness: Readiness, refreshing: Refreshing) -> None:
        self._path = path
        self._readiness = readiness
        self._refreshing = refreshing
        self._follow: Follow | None = None
        self._domains: dict[str, Domain] = {}
        self._loading = asyncio.Lock()
        self._file_state: FileState | None = None
        self.file_fault: str | None = None
        """What is wrong with the domain file, while the old state is kept."""

    def all(self) -> Collection[Domain]:
        return self._domains.values()

    def names(self) -> Collection[str]:
        return self._domains.keys()

    def store(self, name: str) -> DomainStore | None:
        domain = self._domains.get(name)
        return domain.store if domain else None

    def program(self, name: str, uuid: UUID) -> Program | None:
        """An active routine or webhook with signed code, as last read.

        Raises DatabaseError if the domain was never read, or is away for too long.
        """
        domain = self._domains.get(name)
        return domain.program(uuid) if domain else None

    def fingerprint(self, name: str) -> str:
        """Changes whenever a program or revision of the domain does, modules included; empty before it was read."""
        domain = self._domains.get(name)
        return domain.reading.fingerprint if domain and domain.reading else ""

    def hindrance(self, name: str) -> str | None:
        """Why no program of the domain may be started now, if so."""
        domain = self._domains.get(name)
        return domain.hindrance() if domain else None

    async def start(self, follow: Follow) -> None:
        """Read the domain file and begin to read the domains. Raises ConfigurationError."""
        self._follow = follow
        self._readiness.watch(READING, self._unread)
        await self._load_file()

    async def reload(self) -> None:
        """Read the domain file, and all domains, now. Raises ConfigurationError; then all domains stay."""
        await self._load_file()
        async with asyncio.TaskGroup() as group:
            for domain in self.all():
                domain.retry()
                group.create_task(domain.refresh(in_turn=True))

    async def refresh(self, name: str) -> None:
        """See to it that everything committed by now is known, unless the domain is away."""
        if domain := self._domains.get(name):
            await domain.refresh()

    async def follow_file(self) -> None:
        """Look at the domain file again and again, for ever, and follow its changes.

        The file itself is looked at, for editors replace it, and a link may be pointed elsewhere.
        """
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if await asyncio.to_thread(_state, self._path) != self._file_state:
                await self._follow_file()

    async def close(self) -> None:
        await asyncio.gather(*[domain.close() for domain in self.all()])

    async def _follow_file(self) -> None:
        told = self.file_fault
        try:
            await self._load_file()
        except ConfigurationError as error:
            if str(error) != told:
                log.error("domain_file_refused", reason=str(error))
        else:
            log.info("domain_file_read", domains=len(self._domains))

    async def _load_file(self) -> None:
        """Read the domain file and follow it. Raises ConfigurationError; then everything stays as it was."""
        async with self._loading:
            # Before its content: what is written in between shows at the next look.
            self._file_state = await asyncio.to_thread(_state, self._path)
            try:
                urls = await asyncio.to_thread(read_domain_file, self._path)
            except ConfigurationError as error:
                self._set_fault(str(error))
                raise
            self._set_fault(None)
            gone = [domain for domain in self.all() if urls.get(domain.name) != domain.url]
            await asyncio.gather(*[self._remove(domain, stays=domain.name in urls) for domain in gone])
            for name, url in urls.items():
                if name not in self._domains:
                    self._add(name, url)

    def _set_fault(self, fault: str | None) -> None:
        self.file_fault = fault
        self._readiness.set(FILE, fault)

    def _add(self, name: str, url: str) -> None:
        assert self._follow is not None, "start comes first"
        domain = Domain(name, url, self._follow, self._refreshing)
        self._domains[name] = domain
        self._readiness.watch(_problem(name), domain.problem)
        domain.start()

    async def _remove(self, domain: Domain, *, stays: bool) -> None:
        """Let go of a domain that is no longer listed, or is listed with another URL (``stays``)."""
        assert self._follow is not None, "start comes first"
        del self._domains[domain.name]
        self._readiness.forget(_problem(domain.name))
        log.info("domain_moved" if stays else "domain_removed", domain=domain.name)
        await domain.close()
        gone = diff(domain.reading.programs if domain.reading else {}, {})
        try:
            await self._follow(DomainChanges(domain.name, gone, first=False, moved=stays))
        except DatabaseError as error:
            # Its routines are not followed any more; that this is not on record must not stop the other domains.
            log.error("domain_not_followed", domain=domain.name, reason=str(error))

    def _unread(self) -> str | None:
        unread = sum(not domain.asked for domain in self.all())
        return f"{unread} not read yet" if unread else None


def _problem(domain: str) -> str:
    return f"domain {domain}"


def _state(path: Path) -> FileState | None:
    """What tells that the file was changed, replaced or, as a link, pointed elsewhere; None if there is none."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_ctime_ns, state.st_size, state.st_ino, state.st_dev

"""Modules from the Library: asked for, kept for a while, revalidated."""

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import aiohttp
import structlog

from malgomaj.errors import LibraryAway, ModuleMissing, TaskFailed
from malgomaj.meter import Fetched
from malgomaj.peer import Peer, SharedSecret
from malgomaj.shelves import Shelves
from malgomaj.single_flight import SingleFlight
from shared.errors import SelfhostError
from shared.http import connection_fault
from shared.imports import UnusableImport, import_name, parse_import
from shared.wire import ModuleUse
from tengo_bridge.compiling import Import

MAX_KEPT_MODULES = 4096
ANSWER_TIMEOUT_SECONDS = 10.0
REVALIDATION_TIMEOUT_SECONDS = 1.0
"""How long the Library may take where there is a copy to go on with."""
AWAY_PAUSE_SECONDS = 5.0
"""How long the Library is not asked again for a module after it did not answer."""
PARALLEL_FETCHES = 16

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ModuleRef:
    """A module as the Library is asked for it. ``revision`` is ``latest`` or a number."""

    domain: str
    language: str
    name: str
    revision: str

    def __str__(self) -> str:
        return import_name(self.name, self.revision)


@dataclass(frozen=True, slots=True)
class Module:
    code: bytes
    digest: bytes
    """SHA-256 of the code."""
    etag: str
    revision: int | None
    """Where the Library says which one it is."""


@dataclass(slots=True)
class _Copy:
    module: Module
    checked_at: float
    state: str | None
    """That of the domain's programs when the Library was asked, where the manager says so."""


class Library:
    """The client of the Library."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        peer: Peer,
        secret: SharedSecret,
        *,
        kept_seconds: float,
        max_bytes: int,
        max_kept_bytes: int,
        clock: Callable[[], float],
    ) -> None:
        self._session = session
        self._peer = peer
        self._secret = secret
        self._kept_seconds = kept_seconds
        self._max_bytes = max_bytes
        self._clock = clock
        self._copies: Shelves[ModuleRef, _Copy] = Shelves(MAX_KEPT_MODULES, max_kept_bytes)
        self._fetches: SingleFlight[tuple[ModuleRef, str | None], Module] = SingleFlight()
        self._away = False
        self.fetches: Counter[Fetched] = Counter()
        """What came of asking the Library."""

    def fresh(self, ref: ModuleRef, state: str | None = None) -> Module | None:
        """The module, if it was checked so lately, and in this state of the domain, that the Library need not be asked.

        Without a state, which only our manager tells, any will do.
        """
        copy = self._copies.get(ref.domain, ref)
        if copy is None or copy.checked_at + self._kept_seconds <= self._clock():
            return None
        if state is not None and copy.state != state:
            return None
        return copy.module

    def fetch(self, ref: ModuleRef, state: str | None = None) -> "asyncio.Task[Module]":
        """The module as the Library has it now, one request for all who ask at the same time: to be shielded.

        A copy serves, however old, where the Library is away. The task raises ModuleMissing or LibraryAway.
        """
        return self._fetches.start((ref, state), lambda: self._fetch(ref, state))

    async def close(self) -> None:
        await self._fetches.close()

    async def _fetch(self, ref: ModuleRef, state: str | None) -> Module:
        copy = self._copies.get(ref.domain, ref)
        try:
            module = await self._ask(ref, copy.module if copy else None)
        except ModuleMissing:
            self.fetches[Fetched.MISSING] += 1
            self._copies.drop(ref.domain, ref)
            raise
        except LibraryAway as error:
            self.fetches[Fetched.AWAY] += 1
            if copy is None:
                raise
            self._note_away(str(error))
            copy.checked_at = self._clock() - self._kept_seconds + AWAY_PAUSE_SECONDS
            copy.state = state
            return copy.module
        self._away = False
        self.fetches[Fetched.UNCHANGED if copy and module.code is copy.module.code else Fetched.NEW] += 1
        self._copies.put(ref.domain, ref, _Copy(module, self._clock(), state), len(module.code))
        return module

    async def _ask(self, ref: ModuleRef, known: Module | None) -> Module:
        query = {"domain": ref.domain, "module": ref.name, "language": ref.language, "revision": ref.revision}
        headers = self._peer.headers(self._secret)
        if known is not None and known.etag:
            headers["If-None-Match"] = known.etag
        url = f"{self._peer.base_url}/v1/library"
        seconds = ANSWER_TIMEOUT_SECONDS if known is None else REVALIDATION_TIMEOUT_SECONDS
        timeout = aiohttp.ClientTimeout(total=seconds)
        try:
            async with self._session.get(
                url, params=query, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                return await self._read(ref, known, answer)
        except (aiohttp.ClientError, OSError) as error:
            reason = connection_fault(error) or f"no answer within {seconds:g} s"
            raise LibraryAway(f"the module library at {self._peer.base_url} is away: {reason}") from error

    async def _read(self, ref: ModuleRef, known: Module | None, answer: aiohttp.ClientResponse) -> Module:
        revision = _revision(answer)
        if answer.status == 304 and known is not None:
            # Another revision can have the same text.
            return known if revision in (None, known.revision) else replace(known, revision=revision)
        if answer.status == 404:
            raise ModuleMissing(f"module '{ref}' is not found or not signed")
        if answer.status != 200:
            raise LibraryAway(f"the module library at {self._peer.base_url} answered with status {answer.status}")
        code = await self._read_code(ref, answer)
        return Module(code, hashlib.sha256(code).digest(), answer.headers.get("ETag", ""), revision)

    async def _read_code(self, ref: ModuleRef, answer: aiohttp.ClientResponse) -> bytes:
        code = bytearray()
        async for chunk in answer.content.iter_any():
            code += chunk
            if len(code) > self._max_bytes:
                raise ModuleMissing(f"module '{ref}' exceeds limits.source_bytes ({self._max_bytes} bytes)")
        return bytes(code)

    def _note_away(self, reason: str) -> None:
        if not self._away:
            log.warning("library_away", reason=reason, served="kept copies")
        self._away = True


def _revision(answer: aiohttp.ClientResponse) -> int | None:
    text = answer.headers.get("X-Revision", "")
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


class ModuleSet:
    """The modules of one run: each revision is looked up once, so that the run sees one consistent set."""

    def __init__(self, library: Library, domain: str, language: str, state: str | None = None) -> None:
        """``state``: that of the domain's programs, where the manager says so."""
        self._library = library
        self._domain = domain
        self._language = language
        self._state = state
        self._by_ref: dict[ModuleRef, Module] = {}
        self._by_name: dict[str, Module] = {}

    async def add(self, imports: Iterable[Import]) -> None:
        """Look up what is not in the set yet. Raises TaskFailed naming the module and its importing place."""
        unknown = [needed for needed in imports if needed.name not in self._by_name and not self._add_known(needed)]
        # A few at a time: whatever a program imports, the Library and the other domains must not feel it.
        for start in range(0, len(unknown), PARALLEL_FETCHES):
            await self._fetch(unknown[start : start + PARALLEL_FETCHES])

    async def _fetch(self, imports: Sequence[Import]) -> None:
        fetches = [(needed, self._library.fetch(self._ref(needed), self._state)) for needed in imports]
        for needed, fetched in fetches:
            self._add_fetched(needed, await _outcome(fetched, needed))

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def sources(self) -> dict[str, bytes]:
        """The code by the name that stands in the import."""
        return {name: module.code for name, module in self._by_name.items()}

    def digests(self) -> dict[str, bytes]:
        return {name: module.digest for name, module in self._by_name.items()}

    def uses(self, names: Iterable[str]) -> list[ModuleUse]:
        """What a report says of the modules of these names."""
        modules = [(name, self._by_name[name]) for name in names]
        return [ModuleUse(name=name, revision=module.revision, etag=module.etag) for name, module in modules]

    def _add_known(self, needed: Import) -> bool:
        ref = self._ref(needed)
        module = self._by_ref.get(ref) or self._library.fresh(ref, self._state)
        if module is None:
            return False
        self._by_ref[ref] = module
        self._by_name[needed.name] = module
        return True

    def _add_fetched(self, needed: Import, module: Module) -> None:
        self._by_name[needed.name] = self._by_ref.setdefault(self._ref(needed), module)

    def _ref(self, needed: Import) -> ModuleRef:
        try:
            name, revision = parse_import(needed.name)
        except UnusableImport as error:
            raise _not_importable(error, needed) from error
        return ModuleRef(self._domain, self._language, name, revision)


async def _outcome(fetched: "asyncio.Task[Module]", needed: Import) -> Module:
    try:
        return await asyncio.shield(fetched)
    except (ModuleMissing, LibraryAway) as error:
        raise _not_importable(error, needed) from error


def _not_importable(error: SelfhostError, needed: Import) -> TaskFailed:
    return TaskFailed.not_compiled(f"{error} (imported at {needed.at})", needed.stack)

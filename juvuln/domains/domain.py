"""One domain: its database, what was last read of it, and the task that reads it again.

That task alone reads. Whoever wants a reading asks for the next one that begins, so that it sees what was committed
before it was asked for; however many ask, one reading serves them all. A database that is away is asked again by that
task alone, ever later; in the meantime everybody else who needs the database is refused at once.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog

from juvuln.clock import Clock
from juvuln.database import DatabaseError, open_engine
from juvuln.domains.circuit import Backoff, Circuit
from juvuln.domains.listener import Listener
from juvuln.domains.reading import DomainReader, Reading
from juvuln.domains.store import DomainStore
from juvuln.programs import Changes, Program, diff
from shared.daemon import supervise

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 10.0
"""Between two trials of a database that is away: short, so that its return is noticed soon."""
CLOSE_SECONDS = 5.0
"""What letting go of a database may take; one that hangs does not say goodbye."""
IDLE_SECONDS = 10.0
"""A connection that nobody would use for longer is closed: one PostgreSQL may have a hundred domains, and admits a
hundred connections as it comes."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DomainChanges:
    """What a reading of a domain brought."""

    domain: str
    changes: Changes
    first: bool
    """Whether this is the domain's first reading since the manager started or the domain was added."""
    moved: bool = False
    """Whether the domain goes on elsewhere: what was known of it is gone, until it is read there for the first time."""


Follow = Callable[[DomainChanges], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Refreshing:
    """How domains are read, and what they share for it."""

    interval_seconds: float
    timeout_seconds: float
    max_age_seconds: float
    """How old what is known of a domain that is away may be, for its programs to be started."""
    lane: asyncio.Semaphore
    """Bounds how many are read at once."""
    lane_away: asyncio.Semaphore
    """Those that are away wait for one another, and not in the way of the others."""
    clock: Clock
    spread: Callable[[], float]
    """A number from 0 to 1, another each time."""

    def backoff(self) -> Backoff:
        longest_seconds = min(LONGEST_PAUSE_SECONDS, self.interval_seconds)
        return Backoff(min(FIRST_PAUSE_SECONDS, longest_seconds), longest_seconds)


@dataclass(slots=True)
class Counts:
    """Since the domain was added."""

    readings: int = 0
    """Polls that found a change, and read the programs."""
    unchanged: int = 0
    """Polls that found nothing."""
    errors: int = 0
    """Of the database, whoever used it."""


@dataclass(frozen=True, slots=True)
class Known:
    """What was last read of a domain, and when it was last seen to be so."""

    reading: Reading
    at: datetime
    at_seconds: float
    """On the monotonic clock."""


class Domain:
    """Made by :class:`juvuln.domains.domains.Domains`, which starts and closes it."""

    def __init__(self, name: str, url: str, follow: Follow, refreshing: Refreshing) -> None:
        self.name = name
        self.url = url
        self.counts = Counts()
        self._follow = follow
        self._refreshing = refreshing
        self._engine = open_engine(url, pool_size=1)
        self.store = DomainStore(name, self._engine, self._used)
        self._reader = DomainReader(name, self._engine, self.store.what)
        self._circuit = Circuit(refreshing.backoff(), refreshing.spread)
        self._known: Known | None = None
        self._not_followed: str | None = None
        """Why what was read last is not known yet: the follower could not take it."""
        self._used_at_seconds = -math.inf
        """When anybody but the readings used the database last, on the monotonic clock."""
        self.asked = False
        """Whether its first reading has ended, well or not."""
        self._wanted = asyncio.Event()
        self._urgent = False
        self._next_reading: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to read, for ever."""
        self._wanted.set()
        self._task = asyncio.create_task(supervise(f"domain {self.name}", self._keep_fresh))

    async def close(self) -> None:
        """Stop reading and let go of the database."""
        tasks = [task for task in (self._task, self._listening) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._settle()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.store.close()
        except TimeoutError:
            log.warning("domain_not_closed", domain=self.name, reason=f"not within {CLOSE_SECONDS:g} s")

    @property
    def reading(self) -> Reading | None:
        """The last one that succeeded."""
        return self._known.reading if self._known else None

    @property
    def away(self) -> bool:
        return self._circuit.is_open

    @property
    def listening(self) -> bool:
        """Whether changes are told by the database itself."""
        return self._listening is not None

    @property
    def age_seconds(self) -> float | None:
        """How long ago what is known was last seen to be so; None before the first reading."""
        return self._refreshing.clock.monotonic_seconds() - self._known.at_seconds if self._known else None

    def program(self, uuid: UUID) -> Program | None:
        """An active routine or webhook with signed code. Raises DatabaseError where nothing is known, or too old."""
        if self._known is None:
            raise DatabaseError(self.store.what, self._circuit.reason or "is being read for the first time")
        if (hindrance := self.hindrance()) is not None:
            raise DatabaseError(self.store.what, hindrance)
        return self._known.reading.programs.get(uuid)

    def hindrance(self) -> str | None:
        """Why none of its programs may be started, if so: what is known of them is too old."""
        age_seconds = self.age_seconds
        if self._known is None or age_seconds is None or not self.away:
            return None
        if age_seconds <= self._refreshing.max_age_seconds:
            return None
        return f"domain away since {self._known.at:%Y-%m-%dT%H:%M:%SZ}"

    def problem(self) -> str | None:
        """What is wrong with it, and what that means."""
        reason = self._circuit.reason or self._not_followed
        if not reason:
            return None
        if self._known is None:
            return f"{reason} (not read yet)"
        if (hindrance := self.hindrance()) is not None:
            return f"{reason} ({hindrance}: its programs are not started any more)"
        return f"{reason} (going on with what is known since {self._known.at:%Y-%m-%dT%H:%M:%SZ})"

    async def refresh(self, *, in_turn: bool = False) -> None:
        """Read what is committed by now, unless the database is away. ``in_turn``: as one of many, in their lane."""
        if self.away:
            return
        self._urgent = self._urgent or not in_turn
        if self._next_reading is None:
            self._next_reading = asyncio.get_running_loop().create_future()
        self._wanted.set()
        await asyncio.shield(self._next_reading)

    def retry(self) -> None:
        """Ask the database now, even if it is away: it may be back."""
        self._circuit.retry_now()
        self._wanted.set()

    @contextmanager
    def _used(self) -> Iterator[None]:
        """Around every use of the database but reading. Raises DatabaseError at once while it is away."""
        if self.away:
            seconds = math.ceil(self._circuit.seconds_left(self._refreshing.clock.monotonic_seconds()))
            raise DatabaseError(self.store.what, f"{self._circuit.reason}; it is asked again in {seconds} s")
        try:
            self._used_at_seconds = self._refreshing.clock.monotonic_seconds()
            yield
        except DatabaseError:
            self.counts.errors += 1
            # A reading finds out whether it is away.
            self._wanted.set()
            raise

    async def _keep_fresh(self) -> None:
        while True:
            await self._until_next()
            self._wanted.clear()
            asked_for, self._next_reading = self._next_reading, None
            urgent, self._urgent = self._urgent, False
            try:
                async with nullcontext() if urgent else self._lane():
                    await self._read()
            finally:
                _resolve(asked_for)

    async def _until_next(self) -> None:
        """Wait until somebody wants a reading or the interval is over; while it is away, until its next trial."""
        clock, interval_seconds = self._refreshing.clock, self._refreshing.interval_seconds
        if self._not_followed:
            interval_seconds = min(FIRST_PAUSE_SECONDS, interval_seconds)
        began = clock.monotonic_seconds()
        while True:
            now = clock.monotonic_seconds()
            if self.away:
                self._wanted.clear()
                seconds = self._circuit.seconds_left(now)
            else:
                seconds = 0.0 if self._wanted.is_set() else began + interval_seconds - now
            if seconds <= 0:
                return
            try:
                async with asyncio.timeout(seconds):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    def _in_use(self) -> bool:
        """Whether a connection is worth keeping: soon it is read again, or others need one."""
        idle_seconds = self._refreshing.clock.monotonic_seconds() - self._used_at_seconds
        return min(idle_seconds, self._refreshing.interval_seconds) <= IDLE_SECONDS

    def _lane(self) -> asyncio.Semaphore:
        return self._refreshing.lane_away if self.away else self._refreshing.lane

    async def _read(self) -> None:
        """Read once. Whatever goes wrong is this domain's alone."""
        try:
            reading = await self._read_in_time()
        except DatabaseError as error:
            self.counts.errors += 1
            self._failed(error.reason)
        except Exception:
            log.exception("domain_not_read", domain=self.name)
            self._failed("internal error; the log has the details")
        else:
            if reading is not None:
                self._succeeded()
                await self._take(reading)
        finally:
            self.asked = True

    async def _read_in_time(self) -> Reading | None:
        """What was read; None if that took too long. Raises DatabaseError."""
        seconds = self._refreshing.timeout_seconds
        reading = asyncio.create_task(self._reader.read(self.reading, keep=self._in_use()))
        try:
            done, _ = await asyncio.wait({reading}, timeout=seconds)
            if not done:
                # Said before it is let go: to close a connection to a database that is frozen takes many seconds.
                self.counts.errors += 1
                self._failed(f"did not answer within {seconds:g} s")
        finally:
            if not reading.done():
                reading.cancel()
                await asyncio.wait({reading})
        return reading.result() if done else None

    async def _take(self, reading: Reading) -> None:
        """Make known what was read. Should its follower fail, the next reading must find the same changes."""
        clock, known = self._refreshing.clock, self._known
        if known is not None and reading is known.reading:
            self.counts.unchanged += 1
        else:
            self.counts.readings += 1
            try:
                await self._take_changes(reading, known.reading if known else None)
            except DatabaseError as error:
                if str(error) != self._not_followed:
                    log.error("domain_not_followed", domain=self.name, reason=str(error))
                self._not_followed = str(error)
                return
        self._not_followed = None
        self._known = Known(reading, clock.now(), clock.monotonic_seconds())
        if reading.tells != self.listening:
            await self._listen(reading.tells)

    async def _take_changes(self, reading: Reading, before: Reading | None) -> None:
        changes = diff(before.programs if before else {}, reading.programs)
        await self._follow(DomainChanges(self.name, changes, first=before is None))
        for uuid, fault in reading.faults.items():
            if before is None or before.faults.get(uuid) != fault:
                log.warning("program_left_out", domain=self.name, program=uuid, reason=fault)
        if before is None or changes:
            log.info(
                "domain_read",
                domain=self.name,
                programs=len(reading.programs),
                added=len(changes.added),
                changed=len(changes.changed),
                removed=len(changes.removed),
            )

    def _succeeded(self) -> None:
        if self.away:
            log.info("domain_back", domain=self.name)
        self._circuit.succeeded()

    def _failed(self, reason: str) -> None:
        told = self._circuit.reason
        self._circuit.failed(self._refreshing.clock.monotonic_seconds(), reason)
        # Until it is back nobody is kept waiting, and its trials are told only if they bring something new.
        self._settle()
        if reason != told:
            log.error("domain_away", domain=self.name, reason=self.problem())

    def _settle(self) -> None:
        _resolve(self._next_reading)
        self._next_reading = None

    async def _listen(self, tells: bool) -> None:
        """Begin to listen to a database that tells of its changes, or stop listening to one that tells no more."""
        if tells:
            self._listening = asyncio.create_task(supervise(f"listener of domain {self.name}", self._keep_listening))
        elif self._listening is not None:
            self._listening.cancel()
            await asyncio.wait({self._listening})
            self._listening = None

    async def _keep_listening(self) -> None:
        clock, backoff = self._refreshing.clock, self._refreshing.backoff()
        engine = open_engine(self.url, pool_size=1)
        failures = 0
        try:
            while True:
                began = clock.monotonic_seconds()
                try:
                    await Listener(engine, self.store.what, self.retry).listen()
                except DatabaseError as error:
                    self.counts.errors += 1
                    log.warning("domain_not_heard", domain=self.name, reason=error.reason)
                # Whether the whole database is away, a reading finds out.
                self._wanted.set()
                failures = 1 if clock.monotonic_seconds() - began > backoff.longest_seconds else failures + 1
                await asyncio.sleep(backoff.pause_seconds(failures, self._refreshing.spread()))
        finally:
            await engine.dispose()


def _resolve(waiting: asyncio.Future[None] | None) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)

"""The workers that subscribed, and which of them takes the next run. No I/O and no clock here."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum, auto
from uuid import UUID

from shared.auth import BasicCredentials
from shared.errors import SelfhostError
from shared.wire import BATCH_EXTENSION, END_EXTENSION, HOLD_EXTENSION, SOURCES_EXTENSION, Subscriber

REMEMBERED_CONTENTS = 10_000
"""How much is remembered of what ran lately at a worker."""

Content = tuple[str, bytes]
"""What a worker compiles once: the code that a domain's program has, by its digest."""


class UnusableSubscriberError(SelfhostError):
    """A worker's authority cannot be called."""


class WorkerState(StrEnum):
    READY = "ready"
    DRAINED = "drained"
    """An operator wants it to get no new runs."""
    UNREACHABLE = "unreachable"
    """It could not be connected to; it gets no new runs until it gives a sign of life."""
    SILENT = "silent"


class SourceForm(Enum):
    """How a worker is sent the source code of a program."""

    WHOLE = auto()
    """As the contract has it."""
    TO_KEEP = auto()
    """With its digest, under which the worker keeps it."""
    DIGEST = auto()
    """Its digest alone."""


@dataclass(slots=True)
class Worker:
    """A subscribed worker. Times are of the monotonic clock, in seconds; loads are deadlines in ms.

    The registry alone changes it; a new value for each run that comes and goes would cost more than choosing does.
    """

    uuid: UUID
    base_url: str
    credentials: BasicCredentials | None
    languages: frozenset[str]
    seen_seconds: float
    since_ms: int = 0
    """When it subscribed, in milliseconds since 1970."""
    capacity: float | None = None
    """How much it can do compared with others; None where it does not say."""
    version: str | None = None
    takes_batches: bool = False
    """Whether it takes many tasks in one call."""
    ends_runs: bool = False
    """Whether it can be told to end a run."""
    holds_tasks: bool = False
    """Whether it can be given a task before its time."""
    keeps_sources: bool = False
    """Whether it keeps source code, to be sent the digest instead."""
    drained: bool = False
    unreachable: bool = False
    runs: int = 0
    """The runs that this manager has there now."""
    assigned_ms: int = 0
    """Their deadlines."""
    foreign_ms: int = 0
    """What it last reported beyond what this manager had there then."""
    last_turn: int = 0
    """Which of all dispatches of this manager was the last one there; 0 for a worker that has had none."""

    @property
    def load_ms(self) -> int:
        return self.assigned_ms + self.foreign_ms

    @property
    def name(self) -> str:
        """What people know it by: host and port, without credentials."""
        return self.base_url.partition("://")[2]

    @property
    def speaks_tls(self) -> bool:
        return self.base_url.startswith("https:")

    @property
    def is_open(self) -> bool:
        """Whether it may get new runs."""
        return not (self.drained or self.unreachable)

    def state(self, now_seconds: float, timeout_seconds: float) -> WorkerState:
        """Silent is one that was not heard of for half of the time after which it is dropped."""
        if self.drained:
            return WorkerState.DRAINED
        if self.unreachable:
            return WorkerState.UNREACHABLE
        return WorkerState.SILENT if now_seconds - self.seen_seconds > timeout_seconds / 2 else WorkerState.READY


def choose(
    workers: Iterable[Worker], language: str, excluded: Collection[UUID] = (), familiar: Collection[UUID] = ()
) -> Worker | None:
    """The worker that is open, runs ``language`` and has the least load for what it can do.

    Among equals one that is ``familiar`` with the program, then the one whose last turn is longest ago. Workers that do
    not say what they can do make all equal in that.
    """
    able = [
        worker for worker in workers if worker.is_open and language in worker.languages and worker.uuid not in excluded
    ]
    if len(able) <= 1:
        return able[0] if able else None
    comparable = all(worker.capacity for worker in able)

    def preference(worker: Worker) -> tuple[float, bool, int, str]:
        load = worker.load_ms / worker.capacity if comparable and worker.capacity else worker.load_ms
        return load, worker.uuid not in familiar, worker.last_turn, str(worker.uuid)

    return min(able, key=preference)


def worker_from(subscriber: Subscriber, now_seconds: float, now_ms: int = 0) -> Worker:
    """A worker as it introduced itself. Raises UnusableSubscriberError."""
    try:
        parts = subscriber.split()
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UnusableSubscriberError(f"authority: {error}") from error
    if not host or parts.path or parts.query or parts.fragment:
        raise UnusableSubscriberError("authority: must be [user:password@]host[:port]")
    credentials = BasicCredentials(parts.username or "", parts.password or "") if parts.username is not None else None
    return Worker(
        uuid=subscriber.uuid,
        base_url=subscriber.base_url,
        credentials=credentials,
        languages=frozenset(subscriber.languages),
        seen_seconds=now_seconds,
        since_ms=now_ms,
        capacity=subscriber.capacity,
        version=subscriber.version,
        takes_batches=BATCH_EXTENSION in subscriber.extensions,
        ends_runs=END_EXTENSION in subscriber.extensions,
        holds_tasks=HOLD_EXTENSION in subscriber.extensions and subscriber.scheme == "http",
        keeps_sources=SOURCES_EXTENSION in subscriber.extensions,
    )


@dataclass(slots=True, eq=False)
class Placement:
    """A run that is with a worker."""

    worker: UUID
    deadline_ms: int
    give_up: Callable[[], None]
    """Called when the worker is gone, and with it the run."""
    gone: str | None = None
    """Why the worker is gone."""


@dataclass(slots=True)
class _Known:
    """What the registry keeps of a worker."""

    worker: Worker
    placements: set[Placement] = field(default_factory=set)
    contents: OrderedDict[Content, SourceForm] = field(default_factory=OrderedDict)
    """What ran there lately, and how its source code is sent if the worker keeps such."""

    def note(self, content: Content) -> None:
        self.contents.setdefault(content, SourceForm.TO_KEEP)
        self.contents.move_to_end(content)
        if len(self.contents) > REMEMBERED_CONTENTS:
            self.contents.popitem(last=False)


class WorkerRegistry:
    """The one owner of what is known of workers."""

    def __init__(self) -> None:
        self._known: dict[UUID, _Known] = {}
        self._arrival = asyncio.Event()
        self._turns = 0

    def __contains__(self, uuid: UUID) -> bool:
        return uuid in self._known

    def all(self) -> Collection[Worker]:
        return [known.worker for known in self._known.values()]

    def subscribe(self, worker: Worker) -> None:
        """Add a worker. One with the same uuid is the same and keeps its runs; another at the same address is gone.

        Nothing is taken for known to it: it may have been started again.
        """
        for uuid, known in list(self._known.items()):
            if uuid != worker.uuid and known.worker.base_url == worker.base_url:
                self.lose(uuid, "was replaced by another at its address")
        known = self._known.setdefault(worker.uuid, _Known(worker))
        known.contents.clear()
        before = known.worker
        known.worker = replace(
            worker,
            drained=before.drained,
            runs=before.runs,
            assigned_ms=before.assigned_ms,
            last_turn=before.last_turn,
        )
        self._arrival.set()

    def leave(self, uuid: UUID) -> Worker | None:
        """The worker says goodbye, or is not asked any more; what it has it brings to its end."""
        known = self._known.pop(uuid, None)
        return known.worker if known else None

    def lose(self, uuid: UUID, reason: str) -> Worker | None:
        """The worker is gone, for the ``reason`` that completes a sentence about it; its runs are given up."""
        known = self._known.pop(uuid, None)
        if known is None:
            return None
        for placement in list(known.placements):
            placement.gone = f"{known.worker.name} {reason}"
            placement.give_up()
        return known.worker

    def report(self, uuid: UUID, load_ms: int, now_seconds: float) -> bool:
        """Take a worker's load, its sign of life. False if it is not known."""
        known = self._known.get(uuid)
        if known is None:
            return False
        worker = known.worker
        worker.foreign_ms, worker.seen_seconds = max(0, load_ms - worker.assigned_ms), now_seconds
        if worker.unreachable:
            worker.unreachable = False
            self._arrival.set()
        return True

    def drain(self, uuid: UUID, *, drained: bool) -> Worker | None:
        """Have a worker get no new runs, or get some again. None if it is not known."""
        known = self._known.get(uuid)
        if known is None:
            return None
        known.worker.drained = drained
        if not drained:
            self._arrival.set()
        return known.worker

    def cannot_reach(self, uuid: UUID) -> None:
        """Have a worker get no new runs until its next sign of life."""
        if known := self._known.get(uuid):
            known.worker.unreachable = True

    def excuse(self, seconds: float, now_seconds: float) -> None:
        """Count so much less as silence of the workers that are here."""
        for worker in self.all():
            worker.seen_seconds = min(worker.seen_seconds + seconds, now_seconds)

    def expire(self, silent_since_seconds: float, reason: str) -> list[Worker]:
        """Lose the workers not heard of since then; gives them."""
        silent = [worker for worker in self.all() if worker.seen_seconds < silent_since_seconds]
        for worker in silent:
            self.lose(worker.uuid, reason)
        return silent

    def is_open(self, uuid: UUID) -> bool:
        """Whether a worker is there that may get new runs."""
        known = self._known.get(uuid)
        return known is not None and known.worker.is_open

    def has(self, language: str) -> bool:
        """Whether there is a worker that a run could be given now."""
        return any(known.worker.is_open and language in known.worker.languages for known in self._known.values())

    def choose(self, language: str, excluded: Collection[UUID] = (), content: Content | None = None) -> Worker | None:
        """The worker for the next run, of a program with this content."""
        familiar = {uuid for uuid, known in self._known.items() if content in known.contents}
        return choose([known.worker for known in self._known.values()], language, excluded, familiar)

    def place(self, uuid: UUID, content: Content, deadline_ms: int, give_up: Callable[[], None]) -> Placement:
        """Count a run as being with a worker, until it is taken away again."""
        self._turns += 1
        placement = Placement(uuid, deadline_ms, give_up)
        if known := self._known.get(uuid):
            worker = known.worker
            worker.runs += 1
            worker.assigned_ms += deadline_ms
            worker.last_turn = self._turns
            known.placements.add(placement)
            known.note(content)
        return placement

    def take_away(self, placement: Placement) -> None:
        """Count a run as being with its worker no more."""
        known = self._known.get(placement.worker)
        if known is not None and placement in known.placements:
            known.placements.remove(placement)
            known.worker.runs -= 1
            known.worker.assigned_ms -= placement.deadline_ms

    def source_form(self, uuid: UUID, content: Content) -> SourceForm:
        """How to send a worker the source code of this content next."""
        known = self._known.get(uuid)
        if known is None or not known.worker.keeps_sources:
            return SourceForm.WHOLE
        return known.contents.get(content, SourceForm.TO_KEEP)

    def source_arrived(self, uuid: UUID, content: Content) -> None:
        """A worker has answered what was sent to be kept."""
        if (known := self._known.get(uuid)) and known.contents.get(content) is SourceForm.TO_KEEP:
            known.contents[content] = SourceForm.DIGEST

    def source_needed(self, uuid: UUID, content: Content) -> None:
        """A worker does not keep what it was sent.

        It has no room for it, so that it gets it whole from now on: otherwise it could be asked in vain each time.
        """
        if (known := self._known.get(uuid)) and content in known.contents:
            known.contents[content] = SourceForm.WHOLE

    async def arrival(self) -> None:
        """Wait until there is a worker that could not be chosen before."""
        self._arrival.clear()
        await self._arrival.wait()


@dataclass(slots=True)
class Sweep:
    """Drops workers that are silent. While the manager itself stood still it heard nobody, so that is no silence."""

    workers: WorkerRegistry
    timeout_seconds: float
    interval_seconds: float
    looked_seconds: float
    """When it last looked, by the monotonic clock."""

    @property
    def reason(self) -> str:
        """Why a worker was lost, to complete a sentence about it."""
        return f"was silent for {self.timeout_seconds:g} s"

    def look(self, now_seconds: float) -> list[Worker]:
        """Lose the workers that were silent for too long; gives them. To be called at every interval."""
        stood_still_seconds = now_seconds - self.looked_seconds - self.interval_seconds
        self.looked_seconds = now_seconds
        if stood_still_seconds > 0:
            self.workers.excuse(stood_still_seconds, now_seconds)
        return self.workers.expire(now_seconds - self.timeout_seconds, self.reason)

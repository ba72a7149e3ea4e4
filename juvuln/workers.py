"""The workers that subscribed, and which of them takes the next run. No I/O and no clock here."""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

from shared.auth import BasicCredentials
from shared.errors import SelfhostError
from shared.wire import Subscriber


class UnusableSubscriberError(SelfhostError):
    """A worker's authority cannot be called."""


class WorkerState(StrEnum):
    READY = "ready"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Worker:
    """A subscribed worker. Times are of the monotonic clock, in seconds; loads are deadlines in ms."""

    uuid: UUID
    base_url: str
    credentials: BasicCredentials | None
    languages: frozenset[str]
    seen_seconds: float
    assigned_ms: int = 0
    """The deadlines of the runs that this manager has there now."""
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

    def state(self, now_seconds: float, timeout_seconds: float) -> WorkerState:
        """Silent is one that was not heard of for half of the time after which it is dropped."""
        return WorkerState.SILENT if now_seconds - self.seen_seconds > timeout_seconds / 2 else WorkerState.READY


def choose(workers: Iterable[Worker], language: str, excluded: Collection[UUID] = ()) -> Worker | None:
    """The worker that runs ``language`` with the least load; among equals the one whose last turn is longest ago."""
    able = [worker for worker in workers if language in worker.languages and worker.uuid not in excluded]
    return min(able, key=lambda worker: (worker.load_ms, worker.last_turn, str(worker.uuid)), default=None)


def worker_from(subscriber: Subscriber, now_seconds: float) -> Worker:
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
    )


class WorkerRegistry:
    """The one owner of what is known of workers."""

    def __init__(self) -> None:
        self._workers: dict[UUID, Worker] = {}
        self._arrival = asyncio.Event()
        self._turns = 0

    def __contains__(self, uuid: UUID) -> bool:
        return uuid in self._workers

    def all(self) -> Collection[Worker]:
        return self._workers.values()

    def subscribe(self, worker: Worker) -> None:
        """Add a worker. An earlier one with the same uuid or at the same address is replaced: that one is gone."""
        same_place = [uuid for uuid, known in self._workers.items() if known.base_url == worker.base_url]
        for uuid in same_place:
            del self._workers[uuid]
        self._workers[worker.uuid] = worker
        self._arrival.set()

    def drop(self, uuid: UUID) -> Worker | None:
        return self._workers.pop(uuid, None)

    def report(self, uuid: UUID, load_ms: int, now_seconds: float) -> bool:
        """Take a worker's load, its sign of life. False if it is not known."""
        worker = self._workers.get(uuid)
        if worker is None:
            return False
        foreign_ms = max(0, load_ms - worker.assigned_ms)
        self._workers[uuid] = replace(worker, foreign_ms=foreign_ms, seen_seconds=now_seconds)
        return True

    def expire(self, silent_since_seconds: float) -> list[Worker]:
        """Drop the workers not heard of since then; gives them."""
        silent = [worker for worker in self._workers.values() if worker.seen_seconds < silent_since_seconds]
        for worker in silent:
            del self._workers[worker.uuid]
        return silent

    def choose(self, language: str, excluded: Collection[UUID] = ()) -> Worker | None:
        return choose(self._workers.values(), language, excluded)

    def assign(self, uuid: UUID, deadline_ms: int) -> None:
        """Count a run as being with a worker."""
        self._turns += 1
        if worker := self._workers.get(uuid):
            self._workers[uuid] = replace(worker, assigned_ms=worker.assigned_ms + deadline_ms, last_turn=self._turns)

    def release(self, uuid: UUID, deadline_ms: int) -> None:
        """Count a run as ended."""
        if worker := self._workers.get(uuid):
            self._workers[uuid] = replace(worker, assigned_ms=max(0, worker.assigned_ms - deadline_ms))

    async def arrival(self) -> None:
        """Wait until a worker subscribes."""
        self._arrival.clear()
        await self._arrival.wait()

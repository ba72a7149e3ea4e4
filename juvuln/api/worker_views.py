"""The JSON of workers, as who runs the manager sees them."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel

from juvuln.api.services import Services
from juvuln.clock import from_ms
from juvuln.workers import WorkerState


class WorkerView(BaseModel):
    uuid: UUID
    address: str
    languages: list[str]
    state: WorkerState
    runs: int
    """Of this manager."""
    load_ms: int
    """The sum of the deadlines of what it has to do."""
    silent_seconds: float
    """How long ago it was last heard of."""
    since: datetime
    """When it subscribed."""
    capacity: float | None
    """How much it can do, compared with others: its processors; null where it does not say, like ``version``."""
    version: str | None


class Workers(BaseModel):
    workers: list[WorkerView]


class StateChange(BaseModel):
    """What an operator may do with a worker."""

    state: Literal["ready", "drained"]


def worker_views(services: Services) -> list[WorkerView]:
    """All workers, by their addresses."""
    now, timeout_seconds = services.clock.monotonic_seconds(), services.settings.worker.timeout
    views = [
        WorkerView(
            uuid=worker.uuid,
            address=worker.name,
            languages=sorted(worker.languages),
            state=worker.state(now, timeout_seconds),
            runs=worker.runs,
            load_ms=worker.load_ms,
            silent_seconds=round(now - worker.seen_seconds, 1),
            since=from_ms(worker.since_ms),
            capacity=worker.capacity,
            version=worker.version,
        )
        for worker in services.workers.all()
    ]
    return sorted(views, key=lambda view: view.address)

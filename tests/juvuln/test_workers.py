"""Which worker takes the next run, and which is dropped."""

from uuid import UUID

import pytest

from juvuln.workers import UnusableSubscriberError, Worker, WorkerRegistry, choose, worker_from
from shared.auth import BasicCredentials
from shared.wire import Subscriber
from tests.juvuln.support import UUID_1, UUID_2


def worker(uuid: UUID, *, languages: tuple[str, ...] = ("tengo",), seen: float = 0.0, **facts: int) -> Worker:
    return Worker(uuid, f"http://127.0.0.1:{uuid.int & 0xFFFF}", None, frozenset(languages), seen, **facts)


def test_the_least_loaded_worker_that_runs_the_language_is_chosen() -> None:
    busy, idle = worker(UUID_1, assigned_ms=5000), worker(UUID_2, foreign_ms=1000)
    other = worker(UUID("00000000-0000-4000-8000-000000000003"), languages=("lua",))
    assert choose([busy, idle, other], "tengo") == idle
    assert choose([busy, idle, other], "lua") == other
    assert choose([busy, idle, other], "python") is None
    assert choose([busy, idle], "tengo", excluded={UUID_2}) == busy


def test_equally_loaded_workers_take_turns() -> None:
    registry = WorkerRegistry()
    registry.subscribe(worker(UUID_1))
    registry.subscribe(worker(UUID_2))
    chosen = []
    for _ in range(4):
        turn = registry.choose("tengo")
        assert turn is not None
        registry.assign(turn.uuid, 1000)
        registry.release(turn.uuid, 1000)
        chosen.append(turn.uuid)
    assert chosen == [UUID_1, UUID_2, UUID_1, UUID_2]


def test_a_reported_load_counts_only_beyond_what_this_manager_has_there() -> None:
    registry = WorkerRegistry()
    registry.subscribe(worker(UUID_1))
    registry.assign(UUID_1, 4000)
    assert registry.report(UUID_1, 5000, 1.0)
    registry.release(UUID_1, 4000)
    (known,) = registry.all()
    assert known.load_ms == 1000
    assert not registry.report(UUID_2, 0, 1.0)


def test_a_silent_worker_is_dropped_and_a_talking_one_stays() -> None:
    registry = WorkerRegistry()
    registry.subscribe(worker(UUID_1, seen=0.0))
    registry.subscribe(worker(UUID_2, seen=0.0))
    registry.report(UUID_2, 0, 25.0)
    assert [dropped.uuid for dropped in registry.expire(20.0)] == [UUID_1]
    assert UUID_2 in registry
    assert UUID_1 not in registry


def test_a_worker_restarted_at_the_same_address_replaces_the_one_before() -> None:
    registry = WorkerRegistry()
    first = worker(UUID_1)
    registry.subscribe(first)
    registry.subscribe(Worker(UUID_2, first.base_url, None, frozenset({"tengo"}), 1.0))
    assert [known.uuid for known in registry.all()] == [UUID_2]


def test_credentials_in_the_authority_are_used_and_not_shown() -> None:
    subscriber = Subscriber(uuid=UUID_1, scheme="http", authority="me:s3cret@10.0.0.1:8096", languages=["tengo"])
    made = worker_from(subscriber, 0.0)
    assert made.base_url == "http://10.0.0.1:8096"
    assert made.credentials == BasicCredentials("me", "s3cret")
    assert "s3cret" not in repr(made)
    assert made.name == "10.0.0.1:8096"


@pytest.mark.parametrize("authority", ["", "host:port", "host:99999", "a b/c", "host/path", "host?x", ":8096"])
def test_an_authority_that_cannot_be_called_is_refused(authority: str) -> None:
    with pytest.raises((UnusableSubscriberError, ValueError)):
        worker_from(Subscriber(uuid=UUID_1, authority=authority, languages=["tengo"]), 0.0)


def test_a_worker_that_joins_late_gets_its_share_and_no_more() -> None:
    registry = WorkerRegistry()
    registry.subscribe(worker(UUID_1))
    for _ in range(100):
        registry.assign(UUID_1, 1000)
        registry.release(UUID_1, 1000)
    registry.subscribe(worker(UUID_2))
    chosen = []
    for _ in range(10):
        turn = registry.choose("tengo")
        assert turn is not None
        registry.assign(turn.uuid, 1000)
        registry.release(turn.uuid, 1000)
        chosen.append(turn.uuid)
    assert chosen.count(UUID_2) == 5

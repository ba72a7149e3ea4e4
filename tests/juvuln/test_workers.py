"""Which worker takes the next run, and which is dropped."""

from typing import Any
from uuid import UUID

import pytest

from juvuln.workers import (
    REMEMBERED_CONTENTS,
    Content,
    SourceForm,
    Sweep,
    UnusableSubscriberError,
    Worker,
    WorkerRegistry,
    WorkerState,
    choose,
    worker_from,
)
from shared.auth import BasicCredentials
from shared.wire import Subscriber
from tests.juvuln.support import UUID_1, UUID_2

CONTENT = ("test", b"sum")


def nothing() -> None:
    """For runs of which nobody waits to hear that they are given up."""


def worker(uuid: UUID, *, languages: tuple[str, ...] = ("tengo",), seen: float = 0.0, **facts: Any) -> Worker:
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
    turns = []
    for _ in range(4):
        turn = registry.choose("tengo")
        assert turn is not None
        registry.take_away(registry.place(turn.uuid, CONTENT, 1000, nothing))
        turns.append(turn.uuid)
    assert turns == [UUID_1, UUID_2, UUID_1, UUID_2]


def test_a_reported_load_counts_only_beyond_what_this_manager_has_there() -> None:
    registry = WorkerRegistry()
    registry.subscribe(worker(UUID_1))
    placement = registry.place(UUID_1, CONTENT, 4000, nothing)
    assert registry.report(UUID_1, 5000, 1.0)
    registry.take_away(placement)
    (known,) = registry.all()
    assert known.load_ms == 1000
    assert not registry.report(UUID_2, 0, 1.0)


def test_a_silent_worker_is_dropped_and_a_talking_one_stays() -> None:
    registry = WorkerRegistry()
    registry.subscribe(worker(UUID_1, seen=0.0))
    registry.subscribe(worker(UUID_2, seen=0.0))
    registry.report(UUID_2, 0, 25.0)
    assert [dropped.uuid for dropped in registry.expire(20.0, "was silent")] == [UUID_1]
    assert UUID_2 in registry
    assert UUID_1 not in registry


def test_a_manager_that_stood_still_gives_its_workers_the_time_to_report_before_it_drops_them() -> None:
    registry = WorkerRegistry()
    registry.subscribe(worker(UUID_1, seen=0.0))
    registry.subscribe(worker(UUID_2, seen=0.0))
    sweep = Sweep(registry, timeout_seconds=30, interval_seconds=5, looked_seconds=0.0)
    assert sweep.look(5.0) == []
    registry.report(UUID_2, 0, 1005.0)  # the first that is heard after it stood still
    assert sweep.look(1010.0) == []  # to both, the thousand seconds were five
    assert {known.seen_seconds for known in registry.all()} == {1000.0, 1010.0}
    dropped = [(now, gone.uuid) for now in (1015, 1020, 1025, 1030, 1035) for gone in sweep.look(float(now))]
    assert dropped == [(1035, UUID_1)]


def test_a_manager_that_looks_on_time_drops_a_silent_worker_when_its_time_is_over() -> None:
    registry = WorkerRegistry()
    registry.subscribe(worker(UUID_1, seen=0.0))
    sweep = Sweep(registry, timeout_seconds=30, interval_seconds=5, looked_seconds=0.0)
    dropped = [now for now in range(5, 60, 5) if sweep.look(float(now))]
    assert dropped == [35]


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
        registry.take_away(registry.place(UUID_1, CONTENT, 1000, nothing))
    registry.subscribe(worker(UUID_2))
    turns = []
    for _ in range(10):
        turn = registry.choose("tengo")
        assert turn is not None
        registry.take_away(registry.place(turn.uuid, CONTENT, 1000, nothing))
        turns.append(turn.uuid)
    assert turns.count(UUID_2) == 5


def test_load_is_weighed_by_what_a_worker_can_do_if_all_say_what_that_is() -> None:
    large, small = worker(UUID_1, assigned_ms=8000, capacity=16.0), worker(UUID_2, assigned_ms=3000, capacity=2.0)
    assert choose([large, small], "tengo") == large
    silent = worker(UUID_2, assigned_ms=3000)
    assert choose([large, silent], "tengo") == silent


def test_of_equally_loaded_workers_the_one_that_ran_the_content_lately_is_chosen() -> None:
    registry = WorkerRegistry()
    registry.subscribe(worker(UUID_1))
    registry.subscribe(worker(UUID_2))
    registry.take_away(registry.place(UUID_2, CONTENT, 1000, nothing))
    assert chosen(registry, CONTENT) == UUID_2
    assert chosen(registry, ("other", b"sum")) == UUID_1
    registry.place(UUID_2, CONTENT, 1000, nothing)
    assert chosen(registry, CONTENT) == UUID_1


def test_what_ran_at_a_worker_long_ago_is_forgotten() -> None:
    registry = WorkerRegistry()
    registry.subscribe(worker(UUID_1))
    registry.subscribe(worker(UUID_2))
    registry.take_away(registry.place(UUID_2, CONTENT, 1000, nothing))
    for number in range(REMEMBERED_CONTENTS):
        registry.take_away(registry.place(UUID_2, ("test", str(number).encode()), 1000, nothing))
    assert chosen(registry, CONTENT) == UUID_1


def test_source_code_is_sent_to_be_kept_then_by_its_digest_and_whole_once_it_was_asked_for_again() -> None:
    registry = WorkerRegistry()
    registry.subscribe(worker(UUID_1, keeps_sources=True))
    registry.subscribe(worker(UUID_2))
    registry.source_arrived(UUID_1, CONTENT)  # nothing ran there yet
    forms = [registry.source_form(UUID_1, CONTENT)]
    for note in (lambda *_: None, registry.source_arrived, registry.source_needed, registry.source_arrived):
        registry.take_away(registry.place(UUID_1, CONTENT, 1000, nothing))
        note(UUID_1, CONTENT)
        forms.append(registry.source_form(UUID_1, CONTENT))
    whole, to_keep, digest = SourceForm.WHOLE, SourceForm.TO_KEEP, SourceForm.DIGEST
    assert forms == [to_keep, to_keep, digest, whole, whole]
    assert registry.source_form(UUID_1, ("other", CONTENT[1])) is to_keep
    registry.place(UUID_2, CONTENT, 1000, nothing)
    registry.source_arrived(UUID_2, CONTENT)
    assert registry.source_form(UUID_2, CONTENT) is whole


@pytest.mark.parametrize("goodbye", [True, False])
def test_a_worker_that_subscribes_again_is_not_taken_to_have_any_source(goodbye: bool) -> None:
    registry = WorkerRegistry()
    registry.subscribe(worker(UUID_1, keeps_sources=True))
    registry.place(UUID_1, CONTENT, 1000, nothing)
    registry.source_arrived(UUID_1, CONTENT)
    if goodbye:
        registry.leave(UUID_1)
        registry.source_needed(UUID_1, CONTENT)
        assert registry.source_form(UUID_1, CONTENT) is SourceForm.WHOLE
    registry.subscribe(worker(UUID_1, keeps_sources=True))
    assert registry.source_form(UUID_1, CONTENT) is SourceForm.TO_KEEP


def test_a_drained_worker_gets_nothing_new_keeps_what_it_has_and_is_told_apart() -> None:
    registry = WorkerRegistry()
    registry.subscribe(worker(UUID_1))
    placement = registry.place(UUID_1, CONTENT, 1000, nothing)
    drained = registry.drain(UUID_1, drained=True)
    assert drained is not None
    assert (drained.state(0.0, 30.0), drained.runs) == (WorkerState.DRAINED, 1)
    assert chosen(registry) is None
    assert placement.gone is None
    registry.subscribe(worker(UUID_1))
    assert chosen(registry) is None, "the same worker that subscribes again is still drained"
    registry.drain(UUID_1, drained=False)
    assert chosen(registry) == UUID_1
    assert registry.drain(UUID_2, drained=True) is None


def test_a_worker_that_cannot_be_reached_is_left_alone_until_its_next_sign_of_life() -> None:
    registry = WorkerRegistry()
    registry.subscribe(worker(UUID_1))
    registry.cannot_reach(UUID_1)
    assert chosen(registry) is None
    registry.report(UUID_1, 0, 1.0)
    assert chosen(registry) == UUID_1


def test_runs_are_given_up_with_a_worker_that_is_gone_and_not_with_one_that_leaves() -> None:
    registry = WorkerRegistry()
    given_up: list[str] = []
    for uuid in (UUID_1, UUID_2):
        registry.subscribe(worker(uuid))
    gone = registry.place(UUID_1, CONTENT, 1000, lambda: given_up.append("gone"))
    left = registry.place(UUID_2, CONTENT, 1000, lambda: given_up.append("left"))
    registry.leave(UUID_2)
    registry.lose(UUID_1, "was silent for 30 s")
    assert given_up == ["gone"]
    assert gone.gone is not None
    assert gone.gone.endswith("was silent for 30 s")
    for placement in (gone, left):
        registry.take_away(placement)
    assert not registry.all()


def test_a_worker_that_subscribes_again_keeps_its_runs() -> None:
    registry = WorkerRegistry()
    registry.subscribe(worker(UUID_1))
    placement = registry.place(UUID_1, CONTENT, 4000, nothing)
    registry.subscribe(worker(UUID_1))
    assert [(known.runs, known.load_ms) for known in registry.all()] == [(1, 4000)]
    registry.take_away(placement)
    assert [(known.runs, known.load_ms) for known in registry.all()] == [(0, 0)]


def chosen(registry: WorkerRegistry, content: Content | None = None) -> UUID | None:
    turn = registry.choose("tengo", content=content)
    return turn.uuid if turn else None

"""What tags say about the runs of a program."""

import pytest
from hypothesis import given, settings
from hypothesis.strategies import floats, integers, lists, sampled_from, text

from juvuln.policy import LONGEST_BACKOFF_SECONDS, Missed, Overlap, Policy, Retry, policy_of
from shared.wire import Outcome

DEFAULTS = Policy(overlap=Overlap.QUEUE, start_deadline_seconds=12)


def test_without_tags_of_ours_the_configuration_holds() -> None:
    assert policy_of(["heating", "retries:many", "overlapping", "paused"], DEFAULTS) == (DEFAULTS, ())


def test_tags_say_it_for_one_program() -> None:
    tags = ["overlap:replace", "missed:all", "retry:3", "retry-on:lost,failed", "retry-backoff:1m30s", "pause"]
    policy, faults = policy_of([*tags, "start-deadline:2m", "jitter:500ms", "failures:5"], DEFAULTS)
    assert faults == ()
    assert policy == Policy(
        overlap=Overlap.REPLACE,
        missed=Missed.ALL,
        retry=Retry(3, frozenset({Outcome.LOST, Outcome.FAILED}), 90),
        start_deadline_seconds=120,
        jitter_seconds=0.5,
        failures_limit=5,
        paused=True,
    )


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ("overlap:never", "none of skip, queue, allow, replace"),
        ("overlap:", "none of skip, queue, allow, replace"),
        ("missed:twice", "none of skip, once, all"),
        ("retry:-1", "no whole number from 0 to 100"),
        ("retry:101", "no whole number from 0 to 100"),
        ("retry:٣", "no whole number from 0 to 100"),
        ("retry-on:succeeded", "none of failed, lost, crashed, timed_out"),
        ("retry-on:", "none of failed, lost, crashed, timed_out"),
        ("retry-backoff:5", "no duration such as 30s or 1m30s"),
        ("start-deadline:0s", "not from 1 s to a day"),
        ("jitter:25h", "not from 0 s to a day"),
        ("pause:1h", "nothing behind it"),
    ],
)
def test_a_wrong_tag_changes_nothing_and_is_told(tag: str, words: str) -> None:
    policy, (fault,) = policy_of([tag], DEFAULTS)
    assert policy == DEFAULTS
    assert tag in fault
    assert words in fault


def test_tags_that_contradict_each_other_change_nothing() -> None:
    policy, faults = policy_of(["overlap:skip", "retry:1", "overlap:allow", "retry:1"], DEFAULTS)
    assert policy == Policy(overlap=Overlap.QUEUE, start_deadline_seconds=12, retry=Retry(1))
    assert len(faults) == 2
    assert "contradict" in faults[0]


KEYS = ["overlap", "missed", "retry", "retry-on", "retry-backoff", "start-deadline", "jitter", "failures", "pause", "x"]


@settings(deadline=None)
@given(lists(sampled_from(KEYS).flatmap(lambda key: text().map(lambda value: f"{key}:{value}"))))
def test_whatever_tags_there_are_something_holds(tags: list[str]) -> None:
    policy, faults = policy_of(tags, DEFAULTS)
    assert (policy == DEFAULTS) or not faults or len(faults) < len(set(tags))


@given(integers(1, 2000), floats(0, 1), floats(0, 86_400))
def test_repetitions_come_ever_later_but_not_without_end(attempts: int, spread: float, backoff: float) -> None:
    retry = Retry(2000, backoff_seconds=backoff)
    pause = retry.pause_seconds(min(attempts, 100), spread)
    assert 0 <= pause <= LONGEST_BACKOFF_SECONDS
    assert retry.pause_seconds(min(attempts, 100) + 1, spread) >= pause

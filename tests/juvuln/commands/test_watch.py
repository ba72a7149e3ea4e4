"""Watching runs: each ending is told once, whatever comes in between, and little is remembered."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from juvuln.commands.watch import PAGE, OneRun, Run, RunWatch


class Record:
    """Runs with rising ids, which end when they are told to."""

    def __init__(self) -> None:
        self.runs: list[Run] = []

    def begin(self, outcome: str | None = None) -> str:
        self.runs.append({"id": f"{len(self.runs):05}", "outcome": outcome})
        return str(self.runs[-1]["id"])

    def end(self, run: str) -> None:
        self.runs[int(run)]["outcome"] = "succeeded"

    def fetch(self, limit: int, before: str | None) -> Sequence[Run]:
        older = [run for run in self.runs if before is None or run["id"] < before]
        return [dict(run) for run in reversed(older[-limit:])]


def ids(runs: Sequence[Run]) -> list[str]:
    return [run["id"] for run in runs]


def test_the_first_look_is_at_the_newest_and_later_ones_at_what_is_new() -> None:
    record = Record()
    for _ in range(5):
        record.begin("succeeded")
    watch = RunWatch(record.fetch, first=2)
    assert ids(watch.look().ended) == ["00003", "00004"]
    assert watch.look().ended == []
    record.begin("failed")
    assert ids(watch.look().ended) == ["00005"]


def test_a_run_that_outlasts_others_is_told_when_it_ends() -> None:
    record = Record()
    watch = RunWatch(record.fetch, first=20)
    long = record.begin()
    record.begin("succeeded")
    look = watch.look()
    assert (ids(look.open), ids(look.ended)) == ([long], ["00001"])
    assert watch.look().ended == []
    record.end(long)
    record.begin("failed")
    assert ids(watch.look().ended) == [long, "00002"]


def test_more_runs_than_a_page_are_all_told() -> None:
    record = Record()
    watch = RunWatch(record.fetch, first=20)
    watch.look()
    for _ in range(3 * PAGE):
        record.begin("succeeded")
    assert len(watch.look().ended) == 3 * PAGE


@settings(deadline=None)
@given(st.lists(st.sampled_from(["begin", "end", "look"]), max_size=60), st.randoms(use_true_random=False))
def test_every_ending_is_told_exactly_once(steps: list[str], random: object) -> None:
    record, told = Record(), list[str]()
    watch = RunWatch(record.fetch, first=20)
    watch.look()
    for step in [*steps, "look"]:
        under_way = [run["id"] for run in record.runs if run["outcome"] is None]
        if step == "begin":
            record.begin()
        elif step == "end" and under_way:
            record.end(random.choice(under_way))  # type: ignore[attr-defined]
        elif step == "look":
            told += ids(watch.look().ended)
    assert sorted(told) == [run["id"] for run in record.runs if run["outcome"]]


def test_of_one_run_there_is_nothing_to_see_after_its_end() -> None:
    record = Record()
    run = record.begin()
    watch = OneRun(lambda: record.runs[0])
    look = watch.look()
    assert look is not None
    assert (ids(look.open), ids(look.ended)) == ([run], [])
    record.end(run)
    look = watch.look()
    assert look is not None
    assert (ids(look.open), ids(look.ended)) == ([], [run])
    assert watch.look() is None

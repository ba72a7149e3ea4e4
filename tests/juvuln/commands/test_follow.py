"""Following logs: each line once, as it is written where that can be had, and else when the run has ended."""

from collections.abc import Iterator, Sequence
from threading import Event as Signal

import pytest

from juvuln.commands.errors import UnreachableError
from juvuln.commands.follow import Ended, Event, Follower, Line, Written
from juvuln.commands.watch import Look, Run

LIMIT_SECONDS = 10


def run(name: str, *, ended: bool = False, log: Sequence[str] = ()) -> Run:
    return {"id": name, "outcome": "succeeded" if ended else None, "log": [line(text) for text in log]}


def line(text: str) -> Line:
    return {"at_ms": 0, "level": "info", "message": text}


def told(events: Iterator[Event]) -> list[str]:
    return [
        f"{event.run['id']}: {event.line['message']}" if isinstance(event, Written) else f"{event.run['id']}."
        for event in events
    ]


def follower(looks: Sequence[Look | Exception | None], streams: dict[str, Iterator[Line]]) -> Follower:
    """Its looks come one after another, then there is nothing more."""
    coming = iter(looks)

    def look() -> Look | None:
        found = next(coming, None)
        if isinstance(found, Exception):
            raise found
        return found

    def lines(name: str) -> Iterator[Line]:
        if name not in streams:
            raise UnreachableError("there is no stream")
        yield from streams[name]

    return Follower(look, lines, warn=print, look_seconds=0.05)


def test_lines_come_while_the_run_is_under_way() -> None:
    seen = Signal()

    def stream() -> Iterator[Line]:
        yield line("one")
        assert seen.wait(LIMIT_SECONDS)  # nothing more is written until the first line was seen
        yield line("two")

    looks = [Look([run("a")], [])] * 3 + [Look([], [run("a", ended=True, log=["one", "two", "three"])])]
    events = follower(looks, {"a": stream()}).events()
    assert told(iter([next(events)])) == ["a: one"]
    seen.set()
    assert told(events) == ["a: two", "a: three", "a."]


def test_without_a_stream_the_lines_come_when_the_run_has_ended() -> None:
    looks = [Look([run("a")], []), Look([], [run("a", ended=True, log=["one", "two"])])]
    assert told(follower(looks, {}).events()) == ["a: one", "a: two", "a."]


def test_a_run_that_has_ended_waits_for_its_stream() -> None:
    held = Signal()

    def stream() -> Iterator[Line]:
        assert held.wait(LIMIT_SECONDS)
        yield line("late")

    looks = [Look([run("a")], []), Look([], [run("a", ended=True, log=["late"]), run("b", ended=True)])]
    events = follower(looks, {"a": stream()}).events()
    assert told(iter([next(events)])) == ["b."]
    held.set()
    assert told(events) == ["a: late", "a."]


def test_a_server_that_is_away_for_a_while_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    away = UnreachableError("the server is away")
    looks: list[Look | Exception | None] = [Look([], []), away, away, Look([], [run("a", ended=True)])]
    assert told(follower(looks, {}).events()) == ["a."]
    assert capsys.readouterr().out == "the server is away; trying again\n"


def test_a_server_that_was_never_there_is_an_error() -> None:
    with pytest.raises(UnreachableError):
        told(follower([UnreachableError("away")], {}).events())


def test_an_ending_is_told_after_the_lines() -> None:
    (event, ending) = follower([Look([], [run("a", ended=True, log=["x"])])], {}).events()
    assert isinstance(event, Written)
    assert isinstance(ending, Ended)

"""What an executor says is believed only where it makes sense."""

from typing import Any

import pytest

from tengo_bridge.answers import check_answer, goroutines_of
from tengo_bridge.frames import Frame, FrameError, Kind

ERROR = {"kind": "runtime", "message": "no", "stack": ["main:1:1"]}


@pytest.mark.parametrize(
    ("kind", "meta", "to_compile"),
    [
        (Kind.COMPILED, {"modules": ["a"], "bytes": 5}, True),
        (Kind.NEEDS, {"modules": [{"name": "a", "at": "main:1:1", "via": []}]}, True),
        (Kind.REFUSED, {"error": ERROR}, True),
        (Kind.DONE, {"outcome": "succeeded", "elapsed_us": 1}, False),
        (Kind.DONE, {"outcome": "failed", "error": ERROR}, False),
        (Kind.DONE, {"outcome": "succeeded", "response": {"status": 204, "headers": [["A", "b\tc"]]}}, False),
    ],
)
def test_proper_answers_are_taken(kind: Kind, meta: dict[str, Any], to_compile: bool) -> None:
    check_answer(Frame(kind, 1, meta), to_compile=to_compile)


@pytest.mark.parametrize(
    ("kind", "meta", "to_compile"),
    [
        (Kind.DONE, {"outcome": "succeeded"}, True),
        (Kind.PONG, {}, True),
        (Kind.NEEDS, {}, True),
        (Kind.NEEDS, {"modules": [{"name": 5}]}, True),
        (Kind.REFUSED, {}, True),
        (Kind.COMPILED, {"modules": 5}, True),
        (Kind.COMPILED, {}, False),
        (Kind.DONE, {}, False),
        (Kind.DONE, {"outcome": "crashed", "error": ERROR}, False),
        (Kind.DONE, {"outcome": ["succeeded"]}, False),
        (Kind.DONE, {"outcome": "failed"}, False),
        (Kind.DONE, {"outcome": "failed", "error": {"kind": "anger", "message": ""}}, False),
        (Kind.DONE, {"outcome": "succeeded", "response": {"status": 100, "headers": []}}, False),
        (Kind.DONE, {"outcome": "succeeded", "response": {"status": 200, "headers": [["A", "b\r\nC: d"]]}}, False),
        (Kind.DONE, {"outcome": "succeeded", "response": {"status": 200, "headers": [["A b", ""]]}}, False),
    ],
)
def test_anything_else_is_not(kind: Kind, meta: dict[str, Any], to_compile: bool) -> None:
    with pytest.raises((FrameError, ValueError)):
        check_answer(Frame(kind, 1, meta), to_compile=to_compile)


def test_an_executor_tells_how_many_goroutines_it_has() -> None:
    assert goroutines_of(Frame(Kind.PONG, 0, {"runs": 0, "goroutines": 7, "heap_bytes": 1})) == 7


@pytest.mark.parametrize("meta", [{}, {"goroutines": -1}, {"goroutines": "many"}])
def test_a_number_of_goroutines_that_cannot_be_is_not_taken(meta: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="goroutines"):
        goroutines_of(Frame(Kind.PONG, 0, meta))

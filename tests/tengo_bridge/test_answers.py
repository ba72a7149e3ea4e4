"""What an executor says is believed only where it makes sense."""

from typing import Any

import pytest

from tengo_bridge.answers import check_answer
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

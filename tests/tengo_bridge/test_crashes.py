"""The death of an executor, in words."""

import pytest

from shared.wire import ErrorKind
from tengo_bridge.crashes import StderrExcerpt, explain_death

STACK = "runtime: goroutine stack exceeds 33554432-byte limit\nfatal error: stack overflow\n\ngoroutine 7 [running]:\n"


@pytest.mark.parametrize(
    ("status", "stderr", "kind", "message"),
    [
        (
            -6,
            STACK,
            ErrorKind.CRASH,
            "Go stack overflow: often a value that contains itself, or source that is nested too deep",
        ),
        (
            -6,
            "fatal error: runtime: out of memory\n",
            ErrorKind.MEMORY,
            "the executor needed more memory than executors.memory_bytes allows (1000 bytes)",
        ),
        (
            -6,
            "runtime/cgo: pthread_create failed: Resource temporarily unavailable\n",
            ErrorKind.MEMORY,
            "the executor needed more memory than executors.memory_bytes allows (1000 bytes)",
        ),
        (
            -3,
            "SIGSEGV: segmentation violation\nPC=0x7fae m=4 sigcode=1 addr=0x0\n\ngoroutine 0 [idle]:\n"
            "runtime.(*spanQueue).tryDrain(0x2010?)\n\truntime/mgcmark_greenteagc.go:520 +0x5d\n-----\n",
            ErrorKind.MEMORY,
            "the executor needed more memory than executors.memory_bytes allows (1000 bytes)",
        ),
        (-9, "", ErrorKind.CRASH, "the executor was ended by SIGKILL"),
        (-250, "", ErrorKind.CRASH, "the executor was ended by signal 250"),
        (0, "", ErrorKind.CRASH, "the executor ended with exit status 0"),
        (
            2,
            "noise\nfatal error: all goroutines are asleep\nmore\n",
            ErrorKind.CRASH,
            "the executor ended with exit status 2: fatal error: all goroutines are asleep",
        ),
        (
            1,
            "executor: libtengo.so is missing\n\n",
            ErrorKind.CRASH,
            "the executor ended with exit status 1: executor: libtengo.so is missing",
        ),
    ],
)
def test_a_death_is_explained(status: int, stderr: str, kind: ErrorKind, message: str) -> None:
    error = explain_death(status, stderr, memory_limit="executors.memory_bytes allows (1000 bytes)")
    assert (error.kind, error.message) == (kind, message)


def test_an_excerpt_keeps_both_ends_however_long_the_text_and_however_it_is_cut() -> None:
    text = STACK.encode() + b"x" * 100_000 + b"the last word"
    for step in (1, 7, 4096, len(text)):
        excerpt = StderrExcerpt(max_bytes=400)
        for start in range(0, len(text), step):
            excerpt.add(text[start : start + step])
        assert excerpt.text().startswith("runtime: goroutine stack exceeds")
        assert excerpt.text().endswith("the last word")
        assert len(excerpt.text()) == 400


def test_a_short_excerpt_is_the_whole_text() -> None:
    excerpt = StderrExcerpt(max_bytes=10)
    excerpt.add(b"abc")
    excerpt.add(b"defgh")
    assert excerpt.text() == "abcdefgh"

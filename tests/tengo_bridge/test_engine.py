"""The engine in this process: what command lines and other tests use."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tengo_bridge.engine import Engine, EngineError
from tengo_bridge.frames import Frame, Kind
from tengo_bridge.library import LibraryError

DEADLINE_MS = 10_000


@pytest.fixture
def engine(library: Path) -> Iterator[Engine]:
    with Engine(library) as engine:
        yield engine


def test_a_program_is_compiled_once_and_run_often(engine: Engine) -> None:
    compiled = engine.compile("k", 'import("log").info("hello %d", 1)')
    assert (compiled.kind, compiled.meta["modules"]) == (Kind.COMPILED, [])
    for _ in range(3):
        log, done = engine.run("k", deadline_ms=DEADLINE_MS)
        assert (log.meta["level"], log.meta["message"]) == ("info", "hello 1")
        assert done.meta["outcome"] == "succeeded"


def test_modules_are_asked_for_and_then_supplied(engine: Engine) -> None:
    source = 'm := import("simplemath@1")\nimport("log").info("%d", m.add(1, 5))'
    needs = engine.compile("k", source, file="greet")
    assert (needs.kind, needs.meta) == (
        Kind.NEEDS,
        {"modules": [{"name": "simplemath@1", "at": "greet:1:6", "via": []}]},
    )
    modules = {"simplemath@1": "export { add: func(a, b) { return a + b } } // å"}
    compiled = engine.compile("k", source, file="greet", modules=modules)
    assert (compiled.kind, compiled.meta["modules"]) == (Kind.COMPILED, ["simplemath@1"])
    assert engine.run("k", deadline_ms=DEADLINE_MS)[0].meta["message"] == "6"


def test_a_program_that_does_not_compile_is_refused_with_its_place(engine: Engine) -> None:
    refused = engine.compile("k", "a := 1\nb := c", file="greet")
    error = {"kind": "compile", "message": "unresolved reference 'c'", "stack": ["greet:2:6"]}
    assert (refused.kind, refused.meta) == (Kind.REFUSED, {"error": error})


def test_a_webhook_answers_its_request(engine: Engine) -> None:
    engine.compile("k", 'c := import("cgi"); c.response.status(201); c.response.write(c.request.body())')
    request = {"method": "POST", "path": "/", "query": "", "remote": "127.0.0.1", "headers": {}}
    (done,) = engine.run("k", deadline_ms=DEADLINE_MS, request=request, body=b"\x00\xff")
    assert done.meta["response"] == {"status": 201, "headers": []}
    assert done.body == b"\x00\xff"


def test_a_run_time_error_has_its_place(engine: Engine) -> None:
    engine.compile("k", 'f := func() { return 1 + "a" }\nf()', file="greet")
    (done,) = engine.run("k", deadline_ms=DEADLINE_MS)
    assert done.meta["outcome"] == "failed"
    error = {"kind": "runtime", "message": "invalid operation: int + string", "stack": ["greet:1:22", "greet:2:1"]}
    assert done.meta["error"] == error


def test_a_deadline_ends_a_loop(engine: Engine) -> None:
    engine.compile("k", "for true {}")
    (done,) = engine.run("k", deadline_ms=50)
    assert done.meta["outcome"] == "timed_out"
    assert done.meta["error"] == {"kind": "deadline", "message": "deadline of 50 ms exceeded", "stack": ["program:1:1"]}


def test_limits_are_passed_on(library: Path) -> None:
    with Engine(library, {"max_log_lines": 1}) as engine:
        engine.compile("k", 'for i := 0; i < 9; i++ { import("log").info("x") }')
        *log, _ = engine.run("k", deadline_ms=DEADLINE_MS)
        assert len(log) == 2
        assert "the log is cut here" in log[1].meta["message"]


def test_closing_ends_runs_and_the_thread_and_may_be_repeated(library: Path) -> None:
    engine = Engine(library)
    with engine:
        engine.compile("k", "for true {}")
        engine.send(Frame(Kind.RUN, 1000, {"key": "k", "deadline_ms": 60_000}))
    engine.close()
    assert "libtengo" not in {thread.name for thread in threading.enumerate()}


def test_use_outside_the_with_block_is_told(library: Path) -> None:
    engine = Engine(library)
    with pytest.raises(EngineError, match="the engine is not open; use it inside its with block"):
        engine.run("k", deadline_ms=1)
    engine.close()
    with engine:
        pass
    with pytest.raises(EngineError, match="the engine is not open"):
        engine.compile("k", "x := 1")


def test_an_engine_that_ends_is_told(engine: Engine) -> None:
    engine.send(Frame(Kind.PONG))
    with pytest.raises(EngineError, match="the engine has ended"):
        engine.receive()


def test_a_missing_library_is_told_and_leaves_nothing_open(tmp_path: Path) -> None:
    with pytest.raises(LibraryError), Engine(tmp_path / "libtengo.so"):
        pass

"""No value, header, log line or module state of one run is seen by another, though machines are used again."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tengo_bridge.engine import Engine
from tengo_bridge.frames import Kind

IMPORTS = """
base64 := import("base64"); cgi := import("cgi"); enum := import("enum"); fmt := import("fmt"); json := import("json")
log := import("log"); math := import("math"); rand := import("rand"); text := import("text"); times := import("times")
shared := import("shared")
number := 1; word := "a"; list := [1, 2, 3]; table := {a: {b: [1]}}; raw := bytes("abc"); grow := func(x) { return x }
seen := []
"""
SHARED = """
state := {count: 0, list: [1, 2], text: "x"}
export {
    state: state,
    add: func(n) { state.count += n; state.list = append(state.list, n); return state.count },
    nested: {deep: {list: [1]}}
}
"""
STATEMENTS = [
    # What a run may leave behind …
    "number += 1",
    "word += string(number)",
    "list = append(list, number); list[0] = -7",
    "table.a.b = append(table.a.b, word); table[word] = list",
    "delete(table, \"a\"); table.a = {b: []}",
    "splice(list, 0, 1, 9, 8)",
    "raw = append(raw, raw...)",
    "old := grow; grow = func(x) { return [old(x)] }",
    "shared.add(number)",
    "shared.state.text += word; shared.nested.deep.list[0] = number; shared.nested.deep.more = word",
    "rand.seed(number)",
    "cgi.response.headers(\"X-Left\", word)",
    "cgi.response.status(201)",
    "log.info(\"%s %v\", word, list)",
    "log.error(word)",
    "for i := 0; i < 50; i++ { number += i }",
    "body := cgi.request.body(); if len(body) > 0 { body[0] = 88 }",
    "headers := cgi.request.headers(); headers[\"X-More\"] = word",
    "word = text.repeat(word, 3)",
    "constant := \"constant\"; for c in constant { seen = append(seen, c) }",
    # … and what a run may see.
    "seen = append(seen, number, word, len(list), list[0])",
    "seen = append(seen, string(table.a.b), len(table), string(raw))",
    "seen = append(seen, string(grow(1)))",
    "seen = append(seen, shared.add(0), string(shared.state.list), shared.state.text, string(shared.nested.deep.list))",
    "seen = append(seen, string(cgi.request.body()), len(cgi.request.headers()), cgi.request.path())",
    "seen = append(seen, fmt.sprintf(\"%v %s\", enum.map(list, func(k, v) { return v }), base64.encode(raw)))",
    "seen = append(seen, string(json.encode(json.decode(`{\"a\": [1, {\"b\": null}]}`))))",
    "seen = append(seen, math.abs(-2), times.duration_hours(times.hour))",
]  # fmt: skip
ENDS = [
    "",
    "number.no.such()",
    "f := func(n) { return f(n + 1) + 1 }; f(0)",
    "for { number += 1 }",
    "cgi.response.write(\"left\"); cgi.response.status(500)",
    "list[99] = 1",
]  # fmt: skip
"""How a run may end: well, with an error in the middle of things, or at its deadline."""
TELL = "\ncgi.response.write(string(seen))"

programs = st.tuples(st.lists(st.sampled_from(STATEMENTS), min_size=1, max_size=8), st.sampled_from(ENDS))
requests = st.tuples(
    st.binary(max_size=4), st.dictionaries(st.sampled_from(["A", "B", "C"]), st.text("xy", max_size=2))
)
Program = tuple[Sequence[str], str]
Request = tuple[bytes, dict[str, str]]


def source(program: Program) -> str:
    # Each statement in a block of its own, as one may come twice.
    statements, end = program
    return IMPORTS + "\n".join(f"if true {{ {each} }}" for each in [*statements, "", end] if each) + TELL


def answer(engine: Engine, program: Program, request: Request) -> Any:
    """All that anybody is told of a run."""
    code = source(program)
    if engine.compile(code, code, modules={"shared": SHARED}).kind is not Kind.COMPILED:
        raise AssertionError(f"does not compile: {code}")
    body, headers = request
    facts = {"method": "POST", "path": "/p", "query": "", "remote": "r", "headers": headers}
    *lines, done = engine.run(code, deadline_ms=30 if "for {" in program[1] else 30_000, request=facts, body=body)
    if done.meta["outcome"] == "timed_out":
        return "timed_out"  # it may have been anywhere in the program
    log = [(line.meta["level"], line.meta["message"]) for line in lines]
    return done.meta["outcome"], done.meta.get("error"), done.meta.get("response"), done.body, log


@pytest.fixture(scope="module")
def used() -> Iterator[Engine]:
    """An engine that has run everything before."""
    with Engine() as engine:
        yield engine


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(program=programs, request=requests, others=st.lists(st.tuples(programs, requests), max_size=4))
def test_a_program_answers_the_same_alone_and_after_any_others(
    used: Engine, program: Program, request: Request, others: list[tuple[Program, Request]]
) -> None:
    with Engine() as fresh:
        alone = answer(fresh, program, request)
    for other, its_request in others:
        answer(used, other, its_request)
    assert answer(used, program, request) == alone
    assert answer(used, program, request) == alone


def test_random_numbers_do_not_follow_from_another_runs_seed(used: Engine) -> None:
    draw = 'cgi := import("cgi"); cgi.response.write(string(import("rand").int()))'
    seeded: tuple[Program, Request] = ((["rand.seed(7)"], ""), (b"", {}))
    drawn = set()
    used.compile("draw", draw)
    for _ in range(20):
        answer(used, *seeded)
        request = {"method": "POST", "path": "", "query": "", "remote": "", "headers": {}}
        drawn.add(used.run("draw", deadline_ms=1000, request=request)[-1].body)
    assert len(drawn) == 20

"""Tasks that come with a digest instead of their source code: kept apart by domain, bounded, and never mixed up."""

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malgomaj.errors import SourceNeeded, WrongDigest
from malgomaj.kept_sources import KeptSources
from shared.wire import Task
from tests.malgomaj.manager import LocalManager
from tests.malgomaj.worker import UUID, Answered, RunningWorker, call, figures, running_worker, task

HELLO = 'cgi := import("cgi"); cgi.response.write("hello")'
FAILS = "f := func(x) {\n  return 1 / x\n}\nf(0)"


def digest(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()


def a_task(source: bytes, digest: str | None, domain: str = "test") -> Task:
    return Task(
        deadline=0, domain=domain, language="tengo", program_uuid=UUID, source_code=source, source_digest=digest
    )


def test_a_task_of_the_contract_is_taken_as_it_is_and_not_kept() -> None:
    sources = KeptSources(1000)
    plain = a_task(b"x := 1", None)
    assert sources.code_of(plain) == plain.source_code
    assert sources.kept_bytes == 0
    with pytest.raises(SourceNeeded):
        sources.code_of(a_task(b"", digest("x := 1")))


def test_what_is_not_the_source_of_its_digest_is_not_kept() -> None:
    sources = KeptSources(1000)
    with pytest.raises(WrongDigest):
        sources.code_of(a_task(b"x := 2", digest("x := 1")))
    assert sources.kept_bytes == 0


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.binary(min_size=1, max_size=30), st.booleans()),
        max_size=40,
    ),
    st.integers(0, 100),
)
def test_a_domain_gets_what_it_gave_or_nothing(steps: list[tuple[str, bytes, bool]], max_bytes: int) -> None:
    sources = KeptSources(max_bytes)
    given: set[tuple[str, bytes]] = set()
    for domain, code, brings_it in steps:
        named = hashlib.sha256(code).hexdigest()
        if brings_it:
            given.add((domain, code))
            assert sources.code_of(a_task(code, named, domain)) == code
        else:
            try:
                assert sources.code_of(a_task(b"", named, domain)) == code
                assert (domain, code) in given
            except SourceNeeded:
                pass
        assert sources.kept_bytes <= max_bytes


@pytest.fixture
async def small_worker(tmp_path: Path, manager: LocalManager) -> AsyncIterator[RunningWorker]:
    async with running_worker(tmp_path, manager, CACHE__SOURCES_BYTES="100") as running:
        yield running


async def by_digest(worker: RunningWorker, source: str, **fields: Any) -> Answered:
    return await worker.run("", source_digest=digest(source), **fields)


async def test_source_code_that_was_kept_need_not_come_again(worker: RunningWorker) -> None:
    (subscriber,) = worker.manager.subscribers.values()
    assert "sources" in subscriber["extensions"]
    refused = await by_digest(worker, HELLO, http=call())
    assert (refused.status, refused.json["code"]) == (409, 409)
    assert "send it again" in refused.json["message"]
    brought = await worker.run(HELLO, source_digest=digest(HELLO), http=call())
    for answered in (brought, await by_digest(worker, HELLO, http=call())):
        assert (answered.status, answered.body) == (200, b"hello")
    told = await figures(worker)
    assert told["malgomaj_sources_needed_total"] == 1
    assert told["malgomaj_sources_bytes"] == len(HELLO)
    assert (told["malgomaj_cache_hits_total"], told["malgomaj_cache_misses_total"]) == (1, 1)


async def test_another_domain_can_neither_run_nor_see_what_a_digest_stands_for(worker: RunningWorker) -> None:
    await worker.run(HELLO, source_digest=digest(HELLO), domain="owner")
    refused = await by_digest(worker, HELLO, domain="other", http=call())
    never_sent = await by_digest(worker, "x := 12345", domain="other", http=call())
    assert refused.status == 409
    assert refused.json == never_sent.json, "it does not even tell that there is such a source"


async def test_a_report_is_the_same_with_and_without_the_source(worker: RunningWorker) -> None:
    plain = await worker.report(FAILS, program_name="greet")
    brought = await worker.report(FAILS, program_name="greet", source_digest=digest(FAILS))
    kept = await worker.report("", program_name="greet", source_digest=digest(FAILS))
    for report in (plain, brought, kept):
        del report["duration_ms"], report["waited_ms"]
    assert plain == brought == kept
    assert kept["error"]["stack"] == ["greet:2:10", "greet:4:1"]


async def test_what_was_pushed_out_is_asked_for_again(small_worker: RunningWorker) -> None:
    first, second, large = "x := 1".ljust(60), "x := 2".ljust(60), "x := 3".ljust(101)
    for source in (first, second, large):
        assert (await small_worker.run(source, source_digest=digest(source))).status == 200
    statuses = [(await by_digest(small_worker, source)).status for source in (first, second, large)]
    assert statuses == [409, 200, 409]


async def test_in_a_batch_each_task_is_told_by_itself_that_its_source_is_needed(worker: RunningWorker) -> None:
    await worker.run(HELLO, source_digest=digest(HELLO))
    tasks = [task("", source_digest=digest(source), http=call()) for source in (HELLO, "x := 1")]
    tasks.append(task("x := 1", source_digest=digest("x := 1")))
    answered = await worker.request("POST", "/v1/tasks/batch", json={"tasks": tasks})
    lines = {line["index"]: line for line in map(json.loads, answered.body.splitlines())}
    assert [lines[index]["report"]["outcome"] for index in (0, 2)] == ["succeeded"] * 2
    assert lines[1]["refusal"]["code"] == 409


@pytest.mark.parametrize("wrong", [digest("x := 2"), "abc", digest("x := 1").upper()])
async def test_a_digest_that_is_not_that_of_the_source_is_refused(worker: RunningWorker, wrong: str) -> None:
    answered = await worker.run("x := 1", source_digest=wrong)
    assert answered.status == 422
    assert "source_digest" in answered.json["message"]


async def test_a_worker_that_keeps_none_does_not_offer_to(tmp_path: Path, manager: LocalManager) -> None:
    async with running_worker(tmp_path, manager, CACHE__SOURCES_BYTES="0"):
        (subscriber,) = manager.subscribers.values()
        assert "sources" not in subscriber["extensions"]

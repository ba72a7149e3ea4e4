"""The cache of compiled programs: keys, age, places."""

import pytest

from malgomaj.programs import CompiledPrograms, Source, program_key, source_key
from tengo_bridge.compiling import Import

SOURCE = Source.of("test", "tengo", "greet", b"x := 1")


@pytest.mark.parametrize(
    "other",
    [
        SOURCE._replace(domain="other"),
        SOURCE._replace(language="lua"),
        SOURCE._replace(file="greet2"),  # it stands in error positions
        Source.of("test", "tengo", "greet", b"x := 2"),
        SOURCE._replace(domain="test2", language="engo"),
        Source.of("test", "tengo", "gree", b"tx := 1"),  # the same bytes, parted elsewhere
    ],
)
def test_whatever_differs_in_the_source_makes_another_key(other: Source) -> None:
    assert source_key(other) != source_key(SOURCE)


def test_the_same_source_has_the_same_key() -> None:
    assert source_key(Source(*SOURCE)) == source_key(SOURCE)


def test_the_key_depends_on_every_module_and_not_on_their_order() -> None:
    key = source_key(SOURCE)
    first, second = {"a": b"1", "b": b"2"}, {"b": b"2", "a": b"1"}
    assert program_key(key, first) == program_key(key, second)
    others = [{}, {"a": b"1"}, {"a": b"1", "b": b"3"}, {"a": b"1", "c": b"2"}, {"a": b"2", "b": b"1"}]
    assert len({program_key(key, modules) for modules in [first, *others]}) == len(others) + 1


def test_the_least_recently_used_program_goes_first() -> None:
    programs = CompiledPrograms(max_programs=2, max_bytes=1000, kept_seconds=100)
    assert programs.add("a", 1, now=0) == []
    assert programs.add("b", 1, now=1) == []
    assert programs.use("a", now=2)
    assert programs.add("c", 1, now=3) == ["b"]
    assert not programs.use("b", now=3)
    assert len(programs) == 2


def test_a_program_expires_when_it_was_not_used_for_long() -> None:
    programs = CompiledPrograms(max_programs=10, max_bytes=1000, kept_seconds=100)
    programs.add("a", 1, now=0)
    programs.add("b", 1, now=10)
    programs.use("a", now=50)
    assert programs.expire(now=109) == []
    assert programs.expire(now=110) == ["b"]
    assert programs.expire(now=150) == ["a"]
    assert len(programs) == 0


def test_a_program_that_is_not_to_be_kept_can_still_be_run_once() -> None:
    programs = CompiledPrograms(max_programs=10, max_bytes=1000, kept_seconds=0)
    programs.add("a", 1, now=0)
    assert programs.expire(now=0.5) == []
    assert programs.use("a", now=0.5)
    assert programs.expire(now=2) == ["a"]


def test_as_many_import_graphs_are_remembered_as_programs() -> None:
    programs = CompiledPrograms(max_programs=2, max_bytes=1000, kept_seconds=100)
    graph = (Import("a@1", "greet:1:1"),)
    for source in ("x", "y", "z"):
        programs.remember_imports(source, graph)
    assert [programs.imports(source) for source in ("x", "y", "z")] == [(), graph, graph]


def test_the_least_recently_used_programs_go_for_the_bytes_of_a_new_one() -> None:
    programs = CompiledPrograms(max_programs=10, max_bytes=1000, kept_seconds=100)
    for key in ("a", "b", "c"):
        assert programs.add(key, 300, now=0) == []
    programs.use("a", now=1)
    assert programs.add("d", 600, now=2) == ["b", "c"]
    assert programs.bytes == 900


def test_a_program_larger_than_all_of_it_is_kept_alone() -> None:
    programs = CompiledPrograms(max_programs=10, max_bytes=1000, kept_seconds=100)
    programs.add("a", 300, now=0)
    assert programs.add("large", 5000, now=1) == ["a"]
    assert programs.use("large", now=1)
    assert programs.add("b", 300, now=2) == ["large"]
    assert programs.bytes == 300


def test_a_program_that_is_compiled_anew_counts_once() -> None:
    programs = CompiledPrograms(max_programs=10, max_bytes=1000, kept_seconds=100)
    programs.add("a", 300, now=0)
    assert programs.add("a", 400, now=1) == []
    assert programs.bytes == 400
    assert programs.expire(now=101) == ["a"]
    assert programs.bytes == 0

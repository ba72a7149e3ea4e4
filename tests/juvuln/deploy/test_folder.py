"""A folder of programs: what is read from manifests and leading comments, and what is wrong with them."""

from codecs import BOM_UTF8
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from juvuln.deploy.folder import FolderError, LocalProgram, read_folder
from juvuln.deploy.header import read_header
from juvuln.deploy.manifest import read_manifest
from juvuln.deploy.said import SayingFault
from juvuln.deploy.specification import Specification


def make(root: Path, files: dict[str, str | bytes]) -> dict[str, LocalProgram]:
    """The programs of a folder with these files, by name."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return {program.name: program for program in read_folder(root)}


def faults(root: Path, files: dict[str, str | bytes]) -> list[str]:
    with pytest.raises(FolderError) as refused:
        make(root, files)
    return [line.removeprefix(f"{root}/") for line in str(refused.value).splitlines()]


@pytest.mark.parametrize(
    ("files", "name", "expected"),
    [
        ({"a.tengo": "export 1"}, "a", Specification("module")),
        ({"a.tengo": "// schedule: */5 * * * * *\nx := 1"}, "a", Specification("routine", schedule="*/5 * * * * *")),
        ({"a.tengo": '// schedule: "@every 5s"\r\nx := 1'}, "a", Specification("routine", schedule="@every 5s")),
        (
            {"a.tengo": "// So: x\n// name: b c\n// type: webhook\n//deadline: 5\n// tags: [x y, 2]\n\n// type: z"},
            "b c",
            Specification("webhook", deadline=5, tags=("x y", "2")),
        ),
        # An entry in a manifest is the whole specification, whatever the comments say.
        (
            {"a.tengo": "// type: module\n// deadline: 5", "program.yaml": "programs: {a.tengo: {type: webhook}}"},
            "a",
            Specification("webhook"),
        ),
        (
            {"a.tengo": "x := 1", "program.yaml": "programs:\n  b:\n    file: a.tengo\n    type: webhook"},
            "b",
            Specification("webhook"),
        ),
        (
            {"a.tengo": "x := 1", "program.yaml": "programs:\n  a.tengo:\n    name: 42\n    type: webhook"},
            "42",
            Specification("webhook"),
        ),
        # A manifest of one program, in a folder of its own.
        (
            {"d/main.tengo": "x := 1", "d/program.yaml": "name: d\ntype: webhook\nstate: inactive"},
            "d",
            Specification("webhook", state="inactive"),
        ),
        (
            {"program.yaml": "programs:\n  later: {type: webhook, file: null}"},
            "later",
            Specification("webhook"),
        ),
    ],
)
def test_a_program_is_what_its_manifest_or_its_comments_say(
    tmp_path: Path, files: dict[str, str | bytes], name: str, expected: Specification
) -> None:
    programs = make(tmp_path, files)
    assert list(programs) == [name]
    assert programs[name].specification == expected


def test_a_mark_of_the_byte_order_hides_nothing(tmp_path: Path) -> None:
    programs = make(tmp_path, {"a.tengo": BOM_UTF8 + b"// type: webhook\n", "b.tengo": BOM_UTF8 + b"export 1"})
    assert {name: program.specification.type for name, program in programs.items()} == {"a": "webhook", "b": "module"}
    assert programs["a"].code == BOM_UTF8 + b"// type: webhook\n"


def test_comments_with_addresses_are_comments(tmp_path: Path) -> None:
    programs = make(tmp_path, {"a.tengo": "// https://example.org/\n// type: webhook\n// at:noon\n"})
    assert programs["a"].specification == Specification("webhook")


def test_hidden_folders_and_other_files_are_left_alone(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {".git/a.tengo": "x", "notes.md": "x", "a.tengo.bak": "x", ".tengo": "x"}
    assert make(tmp_path, files) == {}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"a.tengo": "x := 1"}, "a.tengo:1: its type is not said"),
        ({"a.tengo": "// see\n//type:webhook"}, "a.tengo:2: write a space after 'type:'"),
        ({"a.tengo": "// type: webhook\n// shedule: x"}, "a.tengo:2: there is no key 'shedule'"),
        ({"a.tengo": "// Type: webhook"}, "a.tengo:1: write 'type' instead of 'Type'"),
        ({"a.tengo": "// type: a\n// type: b"}, "a.tengo:2: type is said twice, first at"),
        ({"a.tengo": "// type: webhook\n// deadline: soon"}, "a.tengo:2: deadline is a whole number"),
        ({"a.tengo": "// type: webhook\n// tags: a"}, "a.tengo:2: tags are a list"),
        ({"a.tengo": "// type: webhook\n// tags: [a"}, "a.tengo:2: tags cannot be read"),
        ({"a.tengo": b"// type: webhook\n// name: \xff"}, "a.tengo:2: name cannot be read"),
        ({"program.yaml": ""}, "program.yaml:1: it is empty"),
        ({"program.yaml": "a: [\n"}, "program.yaml:2: this is not YAML"),
        ({"program.yaml": "- a"}, "program.yaml:1: here must be a map"),
        ({"program.yaml": "programs:\nother: 1"}, "program.yaml:2: beside programs: there can be nothing"),
        ({"program.yaml": "programs:\n  a: {}\n  a: {}"}, "program.yaml:3: 'a' is there twice, first in line 2"),
        ({"program.yaml": "programs:\n  a: {type: webhook}"}, "program.yaml:2: there is no a.tengo in this folder"),
        (
            {"program.yaml": "programs:\n  a:\n    file: ../a.tengo"},
            "program.yaml:3: file is the name of a",
        ),
        ({"a.tengo": "", "program.yaml": "programs:\n  a:\n    typ: x"}, "program.yaml:3: there is no key 'typ'"),
        ({"a.tengo": "", "program.yaml": "programs:\n  a:\n    type:"}, "program.yaml:3: type has no value"),
        ({"a.tengo": "", "program.yaml": "programs:\n  a:\n    tags: b"}, "program.yaml:3: tags are a list"),
        ({"a.tengo": "", "program.yaml": "programs:\n  a:\n    name: [b]"}, "program.yaml:3: here must be a text"),
        ({"a.tengo": "", "b.tengo": "", "program.yaml": "type: webhook"}, "program.yaml:1: there are 2 files here"),
        ({"a.tengo": "", "program.yaml": "programs:\n  a: {}\n  b: {file: a.tengo}"}, "program.yaml:3: a.tengo has a"),
        ({"program.yml": "programs: {}"}, "program.yml:1: the specifications are read from a file called program.yaml"),
        ({"a.tengo": "export 1", "b/a.tengo": "export 1"}, "b/a.tengo:1: another program is called a too"),
        (
            {"program.yaml": "programs:\n  a: {uuid: 1, type: x, file: null}\n  b: {name: a, type: x, file: null}"},
            "program.yaml:3: another program is called a too",
        ),
        (
            {"program.yaml": "programs:\n  a: {uuid: A, type: x, file: null}\n  b: {uuid: a, type: x, file: null}"},
            "program.yaml:3: another program has this uuid too",
        ),
    ],
)
def test_a_fault_is_said_with_its_file_and_line(tmp_path: Path, files: dict[str, str | bytes], expected: str) -> None:
    (fault,) = faults(tmp_path, files)
    assert fault.startswith(expected), fault


def test_all_faults_are_said_at_once(tmp_path: Path) -> None:
    found = faults(tmp_path, {"a.tengo": "x := 1", "b.tengo": "// typ: x", "c/program.yaml": "- a"})
    assert [fault.split(":")[0] for fault in found] == ["a.tengo", "b.tengo", "c/program.yaml"]


@given(st.one_of(st.binary(), st.text(alphabet="// name:type[]'\"\n\tab").map(str.encode)))
@settings(max_examples=200)
def test_whatever_a_file_holds_its_comments_are_read_or_refused(code: bytes) -> None:
    try:
        read_header(code, "a.tengo")
    except SayingFault as fault:
        assert str(fault).startswith("a.tengo:")


@given(st.one_of(st.binary(), st.text(alphabet="programs: {}[]-&*!|>%\n ab,'\"#?").map(str.encode)))
@settings(max_examples=300)
def test_whatever_a_manifest_holds_it_is_read_or_refused(content: bytes) -> None:
    try:
        read_manifest(content, "program.yaml")
    except SayingFault as fault:
        assert str(fault).startswith("program.yaml:")

"""What is pulled into a folder is read from it as it was in the domain, whatever it is called and holds."""

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from juvuln.deploy.domain import RemoteProgram, Revision
from juvuln.deploy.file_names import file_name, folded
from juvuln.deploy.folder import read_folder
from juvuln.deploy.matching import paired
from juvuln.deploy.plan import make_plan
from juvuln.deploy.pulled import Pulled, Writing, plan_pull
from juvuln.deploy.specification import Specification
from juvuln.deploy.writing import WritingError, manifest_with, write_pull

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
NAMES = st.one_of(
    TEXT.filter(bool),
    st.sampled_from(["../../etc/passwd", ".", "..", "/", "a/b", "A", "a", "con", "x.tengo", ".hidden", "-rf", "null"]),
    st.sampled_from(
        ["yes", "42", "1e3", "~", "# no", "- a", "{a: b}", "a: b", "'", '"', "*a", "&a", "!a", "|", ">", "%"]
    ),
)
CODES = st.one_of(
    st.none(),
    st.binary(max_size=60),
    st.sampled_from([b"x := 1", b"x := 1\r\n", b"export 1\n", b"// type: webhook\nx := 1\n", b"// typo: webhook\n"]),
)
SPECIFICATIONS = st.builds(
    Specification,
    type=st.sampled_from(["module", "routine", "webhook", "something"]),
    state=st.sampled_from(["active", "inactive", "failed"]),
    schedule=st.one_of(TEXT, st.just("*/5 * * * * *")),
    deadline=st.integers(-1, 10**8),
    language=st.sampled_from(["tengo", "lua"]),
    tags=st.lists(TEXT, max_size=3).map(tuple),
)
PROGRAMS = st.dictionaries(NAMES, st.tuples(SPECIFICATIONS, CODES), max_size=6)


def pulled(programs: dict[str, tuple[Specification, bytes | None]]) -> list[Pulled]:
    return [
        Pulled(
            RemoteProgram(
                f"uuid of {name}",
                name,
                specification,
                None if code is None else Revision(3, hashlib.sha256(code).hexdigest(), signed=True),
            ),
            code,
        )
        for name, (specification, code) in programs.items()
    ]


def pull(programs: list[Pulled], root: Path) -> list[Writing]:
    present = {root: [path.name for path in root.iterdir()]}
    steps = plan_pull(programs, read_folder(root), [one.program for one in programs], root, present)
    write_pull(steps)
    return [step.writing for step in steps]


@given(PROGRAMS)
@example({"a": (Specification("webhook"), b"// type: webhook\n"), "A": (Specification("module"), b"\xff\xfe\0")})
@settings(max_examples=150, deadline=None)
def test_pull_then_push_changes_nothing(programs: dict[str, tuple[Specification, bytes | None]]) -> None:
    with TemporaryDirectory() as folder:
        inside = Path(folder, "inside")
        inside.mkdir()
        found = pulled(programs)
        assert set(pull(found, inside)) <= {Writing.NEW}
        assert [path.name for path in Path(folder).iterdir()] == ["inside"]
        plan = make_plan(paired(read_folder(inside), [one.program for one in found]), sign=True)
        assert [step.name for step in plan.work] == []
        assert sorted(step.name for step in plan.steps) == sorted(programs)
        assert set(pull(found, inside)) <= {Writing.UNCHANGED}


@given(st.lists(NAMES, unique=True, max_size=8))
def test_files_have_names_that_no_file_system_takes_for_the_same_or_for_something_else(names: list[str]) -> None:
    taken: set[str] = set()
    for name in names:
        made = file_name(name, taken)
        assert folded(made) not in taken
        assert "/" not in made
        assert not made.startswith((".", "-"))
        assert len(made.encode()) < 255
        taken.add(folded(made))


def test_a_program_goes_to_where_the_folder_has_it_and_comments_stay(tmp_path: Path) -> None:
    (tmp_path / "clock").mkdir()
    manifest = tmp_path / "clock" / "program.yaml"
    manifest.write_text("# all clocks\nprograms:\n  tick.tengo:\n    type: webhook   # for now\n    deadline: 500\n")
    (tmp_path / "clock" / "tick.tengo").write_text("x := 1\n")
    specification = Specification("webhook", deadline=700, tags=("a b", "c"))
    assert pull(pulled({"tick": (specification, b"x := 2\n")}), tmp_path) == [Writing.CHANGED]
    assert (tmp_path / "clock" / "tick.tengo").read_bytes() == b"x := 2\n"
    assert manifest.read_text() == (
        "# all clocks\nprograms:\n  tick.tengo:\n    type: webhook   # for now\n    deadline: 700\n    tags: [a b, c]\n"
    )


def test_what_a_file_says_of_itself_is_not_said_again(tmp_path: Path) -> None:
    code = b"// type: webhook\n// deadline: 5\nx := 1\n"
    pull(pulled({"hook": (Specification("webhook", deadline=5), code)}), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["hook.tengo"]
    assert pull(pulled({"hook": (Specification("webhook", deadline=6), code)}), tmp_path) == [Writing.CHANGED]
    assert (tmp_path / "program.yaml").read_text() == (
        "programs:\n  hook.tengo:\n    type: webhook\n    state: active\n    deadline: 6\n"
    )


def test_a_manifest_of_one_program_takes_no_other() -> None:
    (step,) = plan_pull(pulled({"new": (Specification("webhook"), b"x := 1")}), [], [], Path("d"), {})
    assert step.entry is not None
    with pytest.raises(WritingError, match="describes one program"):
        manifest_with(b"type: webhook\n", [step.entry], "d/program.yaml")

"""How the build decides; that it builds is shown by every test that has a library."""

import os
import sys
from pathlib import Path

import pytest

from tengo_bridge import build as build_module
from tengo_bridge.build import (
    BuildError,
    find_c_compiler,
    find_go,
    go_version,
    install_c_compiler,
    is_fresh,
    needed_go_version,
)


def make_tool(folder: Path, name: str, script: str = "exit 0") -> Path:
    tool = folder / name
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    return tool


def make_sources(folder: Path, mtime: float) -> Path:
    for name in ("go.mod", "go.sum", "internal/a.go"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
        os.utime(folder / name, (mtime, mtime))
    return folder


@pytest.mark.parametrize("changed", ["go.mod", "go.sum", "internal/a.go"])
def test_a_library_is_fresh_until_a_source_changes(tmp_path: Path, changed: str) -> None:
    sources = make_sources(tmp_path, mtime=1000)
    library = tmp_path / "libtengo.so"
    assert not is_fresh(library, sources)
    library.touch()
    os.utime(library, (2000, 2000))
    assert is_fresh(library, sources)
    os.utime(sources / changed, (3000, 3000))
    assert not is_fresh(library, sources)


@pytest.mark.parametrize(
    ("text", "version"), [("module m\n\ngo 1.24\n", (1, 24)), ("go 1.24.3\nrequire x v1", (1, 24, 3))]
)
def test_the_needed_go_is_read_from_go_mod(text: str, version: tuple[int, ...]) -> None:
    assert needed_go_version(text) == version


@pytest.mark.parametrize(
    ("output", "version"), [("go1.26.8", (1, 26, 8)), ("go1.27rc1", (1, 27)), ("go1.24.1-X:nodwarf5", (1, 24, 1))]
)
def test_the_version_of_a_go_is_what_it_says(tmp_path: Path, output: str, version: tuple[int, ...]) -> None:
    assert go_version(str(make_tool(tmp_path, "go", f"echo {output}"))) == version


def test_a_go_that_does_not_work_is_told_with_its_words(tmp_path: Path) -> None:
    go = make_tool(tmp_path, "go", "echo no such luck >&2; exit 3")
    with pytest.raises(BuildError, match=r"go env GOVERSION does not work: no such luck"):
        go_version(str(go))


def test_a_go_that_says_nothing_sensible_is_told(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="no version of Go"):
        go_version(str(make_tool(tmp_path, "go", "echo devel")))


@pytest.mark.parametrize(("output", "taken"), [("go1.99.0", True), ("go1.23.9", False)])
def test_a_go_on_the_path_is_taken_if_it_is_new_enough(tmp_path: Path, output: str, taken: bool) -> None:
    go = make_tool(tmp_path, "go", f"echo {output}")
    assert find_go({"PATH": str(tmp_path)}) == (str(go) if taken else None)


def test_without_a_go_on_the_path_there_is_none(tmp_path: Path) -> None:
    assert find_go({"PATH": str(tmp_path)}) is None


def test_the_chosen_c_compiler_goes_before_those_on_the_path(tmp_path: Path) -> None:
    assert find_c_compiler({"PATH": str(tmp_path)}) is None
    make_tool(tmp_path, "clang")
    assert find_c_compiler({"PATH": str(tmp_path)}) == "clang"
    make_tool(tmp_path, "cc")
    assert find_c_compiler({"PATH": str(tmp_path)}) == "cc"
    assert find_c_compiler({"PATH": str(tmp_path), "CC": "clang -O1"}) == "clang -O1"


def test_a_chosen_c_compiler_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="CC is 'icc -x', which is not found"):
        find_c_compiler({"PATH": str(tmp_path), "CC": "icc -x"})


def test_pip_that_fails_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(build_module, "REQUIREMENTS", tmp_path)
    with pytest.raises(
        BuildError, match=r"pip cannot install a C compiler \(Zig\) \(see above\); install a C compiler"
    ):
        install_c_compiler()


def test_without_sources_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(build_module, "SOURCES", tmp_path / "go")
    with pytest.raises(BuildError, match=r"there are no Go sources in .*; build from a checkout"):
        build_module.build()


def test_a_failed_build_is_one_line_and_leaves_the_library_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_tool(tmp_path, "go", 'test "$1" = env && echo go1.99 && exit; exit 1')
    library = tmp_path / "libtengo.so"
    library.write_text("old")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CC", str(make_tool(tmp_path, "cc")))
    monkeypatch.setattr(build_module, "LIBRARY", library)
    monkeypatch.setattr(build_module, "SCRATCH", tmp_path / "build")
    monkeypatch.setattr(sys, "argv", ["build", "--force"])
    assert build_module.main() == 1
    assert capsys.readouterr().err.startswith("build: go build has failed (see above); it ran ")
    assert library.read_text() == "old"
    assert list((tmp_path / "build").iterdir()) == []

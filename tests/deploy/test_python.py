"""Which Python makes the virtual environment: the first that is new enough and has the modules for it."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
SYSTEM = Path("/usr/bin/python3")

# Takes the place of a Python: what it is asked, the Python of the tests answers, lacking something, and a virtual
# environment that it should make is a folder with its name in it.
STAND_IN = """#!/bin/sh
case "$1" in
    -c) exec {python} -c "import sys; {lacking}
$2" ;;
    -m) mkdir "$3" && basename "$0" > "$3/made-with" ;;
esac
"""
USABLE = "pass"
TOO_OLD = "sys.version_info = (3, 10, 13)"
WITHOUT_ENSUREPIP = "sys.modules['ensurepip'] = None"
WITHOUT_VENV = "sys.modules['venv'] = None"


def stand_in(path: Path, lacking: str) -> Path:
    path.write_text(STAND_IN.format(python=shlex.quote(sys.executable), lacking=lacking))
    path.chmod(0o755)
    return path


def make(venv: Path, *variables: str, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    """Have make do no more than the virtual environment, and nothing of what the make around the tests was told."""
    environ = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "PYTHON")}
    return subprocess.run(
        ["make", f"VENV={venv}", *variables, f"{venv}/made"],
        cwd=PROJECT,
        env=environ | {"PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def system_is_usable() -> bool:
    code = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
    return SYSTEM.is_file() and subprocess.run([SYSTEM, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("lacking", [TOO_OLD, WITHOUT_ENSUREPIP, WITHOUT_VENV])
def test_a_python_that_cannot_be_used_is_skipped_for_a_later_one(tmp_path: Path, lacking: str) -> None:
    first, second = stand_in(tmp_path / "first", lacking), stand_in(tmp_path / "second", USABLE)
    made = make(tmp_path / "venv", f"PYTHON={tmp_path / 'absent'} {first} {second}")
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "venv" / "made-with").read_text() == "second\n"


def test_of_several_that_can_be_used_the_first_is_taken(tmp_path: Path) -> None:
    first, second = stand_in(tmp_path / "first", USABLE), stand_in(tmp_path / "second", USABLE)
    assert make(tmp_path / "venv", f"PYTHON={first} {second}").returncode == 0
    assert (tmp_path / "venv" / "made-with").read_text() == "first\n"


def test_where_none_is_new_enough_make_says_so(tmp_path: Path) -> None:
    old = stand_in(tmp_path / "old", TOO_OLD)
    made = make(tmp_path / "venv", f"PYTHON={old} {tmp_path / 'absent'}")
    assert made.returncode != 0
    assert "make: Python 3.11 or newer is needed" in made.stderr
    assert not (tmp_path / "venv").exists()


def test_where_all_that_are_new_enough_lack_modules_make_names_the_first(tmp_path: Path) -> None:
    old = stand_in(tmp_path / "old", TOO_OLD)
    first, second = (stand_in(tmp_path / name, WITHOUT_ENSUREPIP) for name in ("first", "second"))
    made = make(tmp_path / "venv", f"PYTHON={old} {first} {second}")
    assert made.returncode != 0
    assert f"make: {first} has no venv module; on Debian or Ubuntu: apt install python3-venv\n" in made.stderr
    assert not (tmp_path / "venv").exists()


@pytest.mark.skipif(not system_is_usable(), reason="the system's Python is not new enough or has no venv module")
def test_the_systems_python_comes_before_one_on_the_path_unless_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    stand_in(tmp_path / "bin" / "python3", USABLE)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    made = make(tmp_path / "by-default", path=path)
    assert made.returncode == 0, made.stderr
    assert f"home = {SYSTEM.parent}\n" in (tmp_path / "by-default" / "pyvenv.cfg").read_text()
    assert make(tmp_path / "asked-for", "PYTHON=python3", path=path).returncode == 0
    assert (tmp_path / "asked-for" / "made-with").read_text() == "python3\n"

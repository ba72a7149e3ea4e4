"""`make install` and `make uninstall`, for real, into a staging folder with a space in its name."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared import project_version

PROJECT = Path(__file__).parents[2]
PREFIX = "/opt/self-host"
REAL_CONFIGURATION = "listen: {port: 1}\n"


@dataclass(frozen=True)
class Staged:
    """What was installed, and where."""

    root: Path

    def path(self, installed: str) -> Path:
        return self.root / installed.lstrip("/")

    def files(self) -> Iterator[Path]:
        return (path for path in self.root.rglob("*") if path.is_file())


def make(target: str, staging: Path) -> None:
    """Run make in the environment that runs the tests, which is complete and must stay as it is."""
    variables = [f"VENV={sys.prefix}", f"STAGE={staging / 'gathered'}", f"DESTDIR={staging / 'a root'}"]
    subprocess.run(
        ["make", target, f"--assume-old={sys.prefix}/run-ready", f"PREFIX={PREFIX}", *variables],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        check=True,
        timeout=110,
    )


@pytest.fixture(scope="module")
def staging(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("staging")


@pytest.fixture(scope="module")
def staged(staging: Path) -> Staged:
    staged = Staged(staging / "a root")
    real = staged.path("/etc/selfhost/juvuln.yaml")
    real.parent.mkdir(parents=True)
    real.write_text(REAL_CONFIGURATION)
    make("install", staging)
    return staged


@pytest.mark.parametrize("command", ["juvuln", "malgomaj"])
def test_an_installed_command_runs_from_where_it_is_staged(staged: Staged, tmp_path: Path, command: str) -> None:
    (tmp_path / "shared.py").write_text("raise SystemExit('not this one')")
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path), "PYTHONHOME": "/nowhere"}
    shown = subprocess.run(
        [staged.path(f"{PREFIX}/bin/{command}"), "--version"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert shown.stdout == f"{command} {project_version()}\n"


def test_the_library_is_installed_with_the_packages(staged: Staged) -> None:
    assert staged.path(f"{PREFIX}/lib/selfhost-programs/tengo_bridge/libtengo.so").is_file()


def test_no_file_remembers_where_it_was_staged(staged: Staged, staging: Path) -> None:
    needle = os.fsencode(staging)
    assert [path for path in staged.files() if needle in path.read_bytes()] == []


@pytest.mark.parametrize("daemon", ["juvuln", "malgomaj"])
def test_the_unit_starts_what_was_installed(staged: Staged, daemon: str) -> None:
    unit = staged.path(f"/etc/systemd/system/{daemon}.service").read_text()
    assert re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE) == [f"{PREFIX}/bin/{daemon}"]


def test_everybody_can_read_what_was_installed(staged: Staged) -> None:
    assert [path for path in staged.files() if not path.stat().st_mode & 0o004] == []


def test_every_picture_that_a_document_shows_is_installed_with_it(staged: Staged) -> None:
    documents = staged.path(f"{PREFIX}/share/doc/selfhost-programs")
    shown = {
        path.parent / picture
        for path in documents.glob("*.md")
        for picture in re.findall(r"!\[[^]]*\]\(([^):]+)\)", path.read_text())
    }
    assert documents / "performance" / "results.svg" in shown
    assert [path for path in shown if not path.is_file()] == []


def test_only_examples_go_to_where_configuration_is(staged: Staged) -> None:
    configuration = staged.path("/etc/selfhost")
    assert sorted(path.name for path in configuration.iterdir()) == [
        "domains.example.yaml",
        "juvuln.example.yaml",
        "juvuln.yaml",
        "malgomaj.example.yaml",
    ]
    assert (configuration / "juvuln.yaml").read_text() == REAL_CONFIGURATION


def test_uninstalling_leaves_nothing_but_what_others_put_there(staged: Staged, staging: Path) -> None:
    make("uninstall", staging)
    assert list(staged.files()) == [staged.path("/etc/selfhost/juvuln.yaml")]

"""What README.md and docs/programs.md show of the commands on local files happens to the letter."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.commands import LIMIT_SECONDS, MALGOMAJ

PROJECT = Path(__file__).resolve().parents[2]
PAGE = (PROJECT / "docs" / "programs.md").read_text(encoding="utf-8")
README = (PROJECT / "README.md").read_text(encoding="utf-8")
SESSIONS = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the reader is: beside the examples."""
    shutil.copytree(PROJECT / "examples", tmp_path / "examples")
    return tmp_path


def shell(command: str, folder: Path) -> str:
    """What a terminal shows of a command."""
    return subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env={"PATH": f"{MALGOMAJ.parent}:{os.environ['PATH']}", "HOME": "/nonexistent"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=LIMIT_SECONDS,
        check=False,
    ).stdout.decode()


@pytest.mark.parametrize("session", SESSIONS)
def test_a_session_of_the_page_shows_what_the_page_says(session: str, folder: Path) -> None:
    for step in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]:
        command, _, expected = step.partition("\n")
        assert shell(command, folder).rstrip() == expected.rstrip()


def test_the_first_program_of_the_readme_runs_before_there_is_a_daemon(folder: Path) -> None:
    (commands,) = (block for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) if "malgomaj run" in block)
    assert shell(commands, folder) == "programs/square.tengo: good\ninfo: squaring 12\nHTTP 200\n\n144\n"

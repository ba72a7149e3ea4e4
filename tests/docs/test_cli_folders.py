"""What docs/cli.md shows of `juvuln next` happens to the letter, and its folders are read as it says."""

import os
import re
import subprocess
import sys
from pathlib import Path

from juvuln.deploy.folder import read_folder
from juvuln.deploy.specification import Specification

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
COMMANDS = Path(sys.executable).parent


def test_next_shows_what_the_page_says() -> None:
    (session,) = (one for one in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL) if "juvuln next" in one)
    for step in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]:
        command, _, expected = step.partition("\n")
        environment = {"PATH": f"{COMMANDS}:{os.environ['PATH']}", "HOME": "/nonexistent"}
        done = subprocess.run(
            ["sh", "-c", f"{command} 2>&1"], env=environment, stdout=subprocess.PIPE, timeout=30, check=False
        )
        assert done.stdout.decode() == expected


def test_the_folders_of_the_page_are_read_as_it_says(tmp_path: Path) -> None:
    several, one = re.findall(r"```yaml\n((?:programs:|name:).*?)```", PAGE, re.DOTALL)
    (comments,) = re.findall(r"```golang\n(// Says how.*?)```", PAGE, re.DOTALL)
    for folder, manifest in (("several", several), ("one", one)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "program.yaml").write_text(manifest)
    (tmp_path / "several" / "sums.tengo").write_text("export 1\n")
    for name in ("several/attic.tengo", "several/greet.tengo", "one/main.tengo"):
        (tmp_path / name).write_text("x := 1\n")
    routine = Specification("routine", schedule="*/30 * * * * *")
    found = {program.name: program.specification for program in read_folder(tmp_path / "several")}
    assert found == {
        "sums": Specification("module"),
        "attic temperature": Specification("routine", schedule="*/30 * * * * *", tags=("heating", "attic")),
        "greet": Specification("webhook", deadline=5000),
        "planned": Specification("webhook"),
    }
    (alone,) = read_folder(tmp_path / "one")
    assert (alone.name, alone.specification) == ("attic temperature", routine)
    (tmp_path / "comments").mkdir()
    (tmp_path / "comments" / "warm.tengo").write_text(comments)
    (warm,) = read_folder(tmp_path / "comments")
    assert warm.specification == Specification(
        "routine", schedule="*/30 * * * * *", deadline=5000, tags=("heating", "attic")
    )

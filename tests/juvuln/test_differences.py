"""Unified differences: what `patch` makes of the old text with them is the new one."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from juvuln.differences import COMPARED_LINES, unified_difference

texts = st.lists(st.sampled_from(["a", "b", "", "c\x0bd", "é\x85\u2028", "long " * 9]), max_size=30).map("\n".join)


def test_equal_texts_do_not_differ() -> None:
    assert unified_difference("a\n", "a\n", "p@0", "p@1") == ""


def test_changes_are_shown_with_three_lines_around_them() -> None:
    old = "".join(f"{number}\n" for number in range(1, 21))
    new = old.replace("10\n", "ten\n")
    expected = "--- p@0\n+++ p@1\n@@ -7,7 +7,7 @@\n 7\n 8\n 9\n-10\n+ten\n 11\n 12\n 13\n"
    assert unified_difference(old, new, "p@0", "p@1") == expected


def test_a_missing_end_of_line_is_said() -> None:
    assert unified_difference("a", "a\n", "p@0", "p@1").endswith("-a\n\\ No newline at end of file\n+a\n")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(old=texts, new=texts)
def test_patch_makes_the_new_text_of_the_old_one(tmp_path: Path, old: str, new: str) -> None:
    assert _patched(tmp_path, old, unified_difference(old, new, "file", "file")) == new


@pytest.mark.timeout(20)
def test_texts_made_to_take_for_ever_are_shown_as_replaced(tmp_path: Path) -> None:
    old = "".join(f"{number % 97}\n" for number in range(300_000))
    new = "".join(f"{number % 89}\n" for number in range(300_000))
    assert _patched(tmp_path, old, unified_difference(old, new, "file", "file")) == new
    short = "".join(f"{number * number % 101}\n" for number in range(COMPARED_LINES))
    reversed_lines = "\n".join(reversed(short.split("\n")))
    assert unified_difference(short, reversed_lines, "file", "file")


def _patched(folder: Path, old: str, difference: str) -> str:
    file = folder / "file"
    file.write_bytes(old.encode())
    if difference:
        command = ["patch", "--quiet", "--binary", str(file)]
        subprocess.run(command, input=difference.encode(), check=True, cwd=folder, capture_output=True)
    return file.read_bytes().decode() if file.exists() else ""

"""Editing the domain file leaves everything else in it as it was."""

import os
import stat
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from juvuln.domains.edit import add_domain, remove_domain, with_domain, without_domain
from juvuln.domains.file import domain_fault, parse_domains, read_domain_file
from shared.errors import ConfigurationError

URL = "postgresql://me:p%40ss@db/x?sslmode=require"
TEXT = """\
# Who owns what is on the wiki.
domains:
    # The first one.
    "first": postgresql://a@h/first   # moved in May

    second: 'sqlite:////var/lib/second.db'
    # Not yet:
    #third: postgresql://c@h/third
# The end.
"""


def test_a_domain_is_added_behind_the_others_and_nothing_else_changes() -> None:
    line = "    second: 'sqlite:////var/lib/second.db'\n"
    assert with_domain(TEXT, "new", URL) == TEXT.replace(line, f"{line}    new: {URL}\n")


def test_a_domain_is_taken_out_with_its_line_alone() -> None:
    line = '    "first": postgresql://a@h/first   # moved in May\n'
    assert without_domain(TEXT, "first") == TEXT.replace(line, "")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "domains:\n  new: URL\n"),
        ("# nothing yet", "# nothing yet\ndomains:\n  new: URL\n"),
        ("domains:\n", "domains:\n  new: URL\n"),
        ("domains:", "domains:\n  new: URL\n"),
        ("domains: ~ # none\n", "domains:  # none\n  new: URL\n"),
        ("domains: {} # none\n", "domains:  # none\n  new: URL\n"),
        ("domains:\n  #a: b\n", "domains:\n  new: URL\n  #a: b\n"),
        ("domains:\n  a: sqlite:///a", "domains:\n  a: sqlite:///a\n  new: URL\n"),
        ("domains:\r\n a: sqlite:///a\r\n", "domains:\r\n a: sqlite:///a\r\n new: URL\r\n"),
        (
            "---\ndomains:\n  a: >-\n    sqlite:///a\n...\n",
            "---\ndomains:\n  a: >-\n    sqlite:///a\n  new: URL\n...\n",
        ),
        ("\ufeffdomains:\n  é: sqlite:///é\n", "\ufeffdomains:\n  é: sqlite:///é\n  new: URL\n"),
    ],
)
def test_a_domain_is_added_to_every_form_of_the_file(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "domains.yaml"
    path.write_bytes(before.encode())
    known = read_domain_file(path)
    assert add_domain(path, "new", URL)
    assert path.read_bytes().decode() == after.replace("URL", URL)
    assert remove_domain(path, "new")
    assert read_domain_file(path) == known


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("domains: {a: sqlite:///a}\n", "in braces"),
        ("domains:\n  a: &x sqlite:///a\n  b: *x\n", "not YAML"),
        ("domains: [\n", "not YAML"),
        ("domains:\n  a: mysql://a\n", "a database URL begins with"),
        ("other: 1\n", "no such setting"),
    ],
)
def test_a_file_that_cannot_be_edited_safely_stays_as_it_is(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "domains.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=reason):
        remove_domain(path, "a")
    if "*x" not in text:
        with pytest.raises(ConfigurationError, match=reason):
            add_domain(path, "new", URL)
        assert path.read_text(encoding="utf-8") == text
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "url"),
    [("a/b", URL), ("", URL), ("a", "mysql://s3cret"), ("a", "postgresql://me:s3cr/et@h/x"), ("a", "s3cret")],
)
def test_a_bad_name_or_url_is_refused_before_anything_is_written(tmp_path: Path, name: str, url: str) -> None:
    path = tmp_path / "domains.yaml"
    with pytest.raises(ConfigurationError) as caught:
        add_domain(path, name, url)
    assert "s3cr" not in str(caught.value)
    assert not path.exists()


def test_a_name_that_is_taken_is_refused_and_the_same_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "domains.yaml"
    assert add_domain(path, "a", URL)
    inode = path.stat().st_ino
    assert not add_domain(path, "a", URL)
    with pytest.raises(ConfigurationError, match="there is a domain a already"):
        add_domain(path, "a", "sqlite:///a")
    assert not remove_domain(path, "b")
    assert path.stat().st_ino == inode


def test_mode_and_owner_stay_and_a_new_file_is_for_its_group_to_read(tmp_path: Path) -> None:
    path = tmp_path / "domains.yaml"
    add_domain(path, "a", URL)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o604)
    if os.geteuid() == 0:
        os.chown(path, 1234, 5678)
    add_domain(path, "b", URL)
    state = path.stat()
    assert stat.S_IMODE(state.st_mode) == 0o604
    assert (state.st_uid, state.st_gid) == ((1234, 5678) if os.geteuid() == 0 else (os.geteuid(), os.getegid()))


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "real.yaml", tmp_path / "domains.yaml"
    target.write_text("domains:\n", encoding="utf-8")
    link.symlink_to("real.yaml")
    add_domain(link, "a", URL)
    assert link.is_symlink()
    assert read_domain_file(target) == {"a": URL}


def test_edits_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "domains.yaml"
    names = [f"d{number}" for number in range(20)]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert all(pool.map(add_domain, [path] * 20, names, [URL] * 20))
        assert all(pool.map(remove_domain, [path] * 10, names[:10]))
    assert set(read_domain_file(path)) == set(names[10:])


@given(st.lists(st.tuples(st.text(min_size=1), st.sampled_from([URL, "sqlite:///a b.db", "sqlite:///#x: y"]))))
def test_every_name_is_read_back_as_it_was_written(pairs: list[tuple[str, str]]) -> None:
    text, listed = "# mine\n", dict[str, str]()
    for name, url in pairs:
        if domain_fault(name, url) is None and name not in listed:
            text = with_domain(text, name, url)
            listed[name] = url
    assert parse_domains(Path("x"), text) == listed
    for name in listed:
        text = without_domain(text, name)
    assert text == ("# mine\ndomains:\n" if listed else "# mine\n")

"""Which file stands for which module."""

from pathlib import Path

import pytest

from malgomaj.errors import UnusableInput
from malgomaj.sources import LocalFile, Sources, read_modules


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lib.tengo"
    path.write_bytes(b"export 1")
    return path


def sources(*supplied: str) -> Sources:
    return Sources(LocalFile("main.tengo", b""), read_modules(supplied))


def test_a_name_without_revision_serves_name_and_latest(file: Path) -> None:
    for supplied in (f"lib={file}", f"lib@latest={file}"):
        found = sources(supplied)
        assert found.module("lib") == found.module("lib@latest") == LocalFile(str(file), b"export 1")
        assert found.module("lib@0") is None
        assert found.module("other") is None


def test_a_revision_serves_itself_alone(file: Path) -> None:
    found = sources(f"lib@2={file}")
    assert found.module("lib@2") == found.module("lib@02") is not None
    assert found.module("lib") is None
    assert found.module("lib@1") is None


def test_a_path_may_have_an_equals_sign(tmp_path: Path) -> None:
    (tmp_path / "a=b").write_bytes(b"")
    assert sources(f"lib={tmp_path}/a=b").module("lib") is not None


@pytest.mark.parametrize("text", ["lib", "=path", "lib=", "lib@=path", "lib@new=path", "lib@1@2=path", "lib@-1=path"])
def test_what_is_no_supply_is_told(text: str) -> None:
    with pytest.raises(UnusableInput, match="is not NAME=PATH, NAME@latest=PATH or NAME@N=PATH"):
        read_modules([text])


def test_a_module_given_twice_is_told(file: Path) -> None:
    with pytest.raises(UnusableInput, match="module 'lib' is given twice"):
        read_modules([f"lib={file}", f"lib@latest={file}"])

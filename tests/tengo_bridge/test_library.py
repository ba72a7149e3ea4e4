"""The library's functions as ctypes sees them, against the header that Go writes."""

import ctypes
import os
import re
import socket
from pathlib import Path

import pytest

from tengo_bridge import library as library_module
from tengo_bridge.library import SERVE_NO_SOCKET, SERVE_STREAM_ENDED, SERVE_STREAM_REFUSED, LibraryError, load_library

C_TYPES = {"int": ctypes.c_int}


def test_every_function_of_the_header_has_its_types(library: Path) -> None:
    header = library.with_suffix(".h").read_text()
    declared = {
        name: (C_TYPES[result], [C_TYPES[part.split()[0]] for part in arguments.split(",") if part != "void"])
        for result, name, arguments in re.findall(r"^extern (\w+) (tengo_\w+)\((.*)\);$", header, re.MULTILINE)
    }
    functions = vars(load_library(library))
    assert {name: (function.restype, function.argtypes) for name, function in functions.items()} == declared
    assert set(declared) == {"tengo_abi_version", "tengo_serve"}


def test_a_missing_library_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match=r"libtengo\.so is not there; run `make build`"):
        load_library(tmp_path / "libtengo.so")


def test_a_file_that_is_no_library_is_told(tmp_path: Path) -> None:
    (tmp_path / "libtengo.so").write_text("no library")
    with pytest.raises(LibraryError, match=r"cannot be used .*run `make build`"):
        load_library(tmp_path / "libtengo.so")


def test_another_library_is_told() -> None:
    with pytest.raises(LibraryError, match="cannot be used"):
        load_library(Path(next(Path("/usr/lib").rglob("libm.so.6"))))


def test_a_library_of_another_version_is_refused(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library_module, "ABI_VERSION", 99)
    with pytest.raises(LibraryError, match="has ABI version 2, and 99 is needed; run `make build`"):
        load_library(library)


def test_serving_ends_with_the_stream(library: Path) -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    assert load_library(library).serve(theirs.detach()) == SERVE_STREAM_ENDED


def test_a_stream_of_something_else_is_refused_with_the_reason(
    library: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert load_library(library).serve(theirs.detach()) == SERVE_STREAM_REFUSED
    assert "the worker's stream is refused: a frame's length is" in capfd.readouterr().err


def test_a_descriptor_that_is_no_socket_is_told(library: Path, capfd: pytest.CaptureFixture[str]) -> None:
    reading, writing = os.pipe()
    os.close(writing)
    assert load_library(library).serve(reading) == SERVE_NO_SOCKET
    assert f"descriptor {reading} is no stream socket" in capfd.readouterr().err

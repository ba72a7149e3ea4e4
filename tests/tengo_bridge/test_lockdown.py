"""What an executor's process cannot do any more: tried by a process that locked itself down in the same way."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tengo_bridge import executor, landlock
from tengo_bridge.library import DEFAULT_PATH

from .process import PATIENCE_SECONDS

PROBE = Path(__file__).with_name("probe.py")
ABI = landlock.abi_version()

needs_landlock = pytest.mark.skipif(ABI == 0, reason="this kernel has no Landlock")


def existing(*paths: str) -> list[str]:
    return [path for path in paths if Path(path).exists()]


FORBIDDEN_FILES = existing("/etc/passwd", "/etc/shadow", "/etc/group", "/proc/self/environ", "/proc/1/status")
NEEDED_FILES = existing(
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/localtime",
    "/usr/share/zoneinfo/Europe/Stockholm",
    "/proc/self/maps",
)
NEEDED_FOLDERS = existing("/etc/ssl/certs", "/etc/pki/tls/certs")


def probe(folder: Path, **environment: str) -> dict[str, Any]:
    """What came of each attempt; ``folder`` holds a file called secret."""
    ask: dict[str, Any] = {
        "read": [f"{folder}/secret", executor.__file__, *FORBIDDEN_FILES, *NEEDED_FILES, str(DEFAULT_PATH)],
        "list": ["/", "/etc", str(folder), str(Path(executor.__file__).parent), *NEEDED_FOLDERS],
        "secret": f"{folder}/secret",
        "abstract": f"test-{os.getpid()}",
    }
    ours, theirs = socket.socketpair()
    with (
        ours,
        theirs,
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as abstract,
        (folder / "secret").open() as inherited,
    ):
        abstract.bind("\0" + ask["abstract"])
        abstract.listen()
        ask |= {"stream": theirs.fileno(), "port": server.getsockname()[1]}
        ended = subprocess.run(
            [sys.executable, "-I", "-S", PROBE, json.dumps(ask)],
            input="something to read",
            env=environment,
            pass_fds=[theirs.fileno(), inherited.fileno()],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        results: dict[str, Any] = json.loads(ended.stdout)
        assert results["descriptors"] == [0, 1, 2, theirs.fileno()]
        return results


@pytest.fixture
def results(tmp_path: Path, library: Path) -> dict[str, Any]:
    (tmp_path / "secret").write_text("the state folder's secret")
    return probe(tmp_path)


def test_nothing_is_inherited_but_the_stream_and_the_proxies(tmp_path: Path, library: Path) -> None:
    (tmp_path / "secret").touch()
    variables = {"HTTPS_PROXY": "http://proxy:1", "no_proxy": "*", "MALGOMAJ_SECRET": "x", "GODEBUG": "y", "LANG": "C"}
    results = probe(tmp_path, **variables)
    assert results["environment"] == ["HTTPS_PROXY", "no_proxy"]
    assert results["input"] == ""


def test_no_process_of_the_same_user_may_look_inside(results: dict[str, Any]) -> None:
    assert results["dumpable"] == 0


@needs_landlock
def test_no_file_of_the_machine_or_of_the_worker_can_be_read(results: dict[str, Any], tmp_path: Path) -> None:
    for path in [f"{tmp_path}/secret", executor.__file__, *FORBIDDEN_FILES]:
        assert results[f"read {path}"] == "EACCES", path
    for path in ["/", "/etc", str(tmp_path), str(Path(executor.__file__).parent)]:
        assert results[f"list {path}"] == "EACCES", path
    assert results["read in a later thread"] == "EACCES"
    assert results["look into the parent"] == "EACCES"


def test_what_names_certificates_and_time_zones_need_can_be_read(results: dict[str, Any]) -> None:
    for path in [*NEEDED_FILES, str(DEFAULT_PATH)]:
        assert results[f"read {path}"] == "done", path
    for path in NEEDED_FOLDERS:
        assert results[f"list {path}"] == "done", path
    assert results["load the library"] == "done"


@needs_landlock
def test_nothing_can_be_written_or_started(results: dict[str, Any], tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    assert results[f"write {secret}"] == "EACCES"
    assert results[f"remove {secret}"] == "EACCES"
    if ABI >= 3:
        assert results[f"truncate {secret}"] == "EACCES"
    assert results["make a folder"] == "EACCES"
    assert results["start a program"] == "EACCES"
    assert results["write to standard input"] == "EBADF"
    assert list(tmp_path.iterdir()) == [secret]


@pytest.mark.skipif(ABI < 4, reason="this kernel's Landlock knows no TCP ports")
def test_tcp_goes_out_but_not_in(results: dict[str, Any]) -> None:
    assert results["connect"] == "done"
    assert results["listen"] == "EACCES"


@pytest.mark.skipif(ABI < 6, reason="this kernel's Landlock knows no scopes")
def test_no_other_process_can_be_reached(results: dict[str, Any]) -> None:
    assert results["signal the parent"] == "EPERM"
    assert results["connect to an abstract socket"] == "EPERM"

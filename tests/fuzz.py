"""`make fuzz SECONDS=…`: every fuzz target of the Go side, and the codec from Python, for a share of the time each.

What a Go target finds, Go leaves in a file below ``testdata/fuzz`` next to it: committed, it is a regression test. What
hypothesis finds it prints, to be written down as a test.
"""

import argparse
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
GO_SOURCES = PROJECT / "tengo_bridge" / "go"
PYTHON_TARGET = "tests/tengo_bridge/test_frames.py"
EXAMPLES_PER_SECOND = 150
"""What hypothesis gets through, about, of each property of the frame codec."""
BUILD_SECONDS = 300
"""How long a target may take over its share: a fuzzer is built before it runs."""


TIME_WAS_UP = re.compile(r"--- FAIL: \w+ \([\d.]+s\)\n\s*context deadline exceeded\nFAIL\n")
"""What Go's fuzzer says now and then when its time is over in the middle of an execution, having found nothing: a fault
of its own, mended in Go 1.27 (golang/go issue 75804). A finding names its input, or the seed that fails, instead."""


@dataclass(frozen=True, slots=True)
class Target:
    package: str
    name: str

    def command(self, seconds: float) -> list[str]:
        return ["go", "test", self.package, "-run=^$", f"-fuzz=^{self.name}$", f"-fuzztime={seconds:.1f}s"]


def main() -> int:
    """The command; its exit status is 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("seconds", type=float, help="for all targets together")
    seconds: float = parser.parse_args().seconds
    targets = go_targets()
    share = seconds / (len(targets) + 1)
    found = [target.name for target in targets if not passes(target.name, target.command(share), GO_SOURCES, share)]
    os.environ["HYPOTHESIS_MAX_EXAMPLES"] = str(max(10, int(share * EXAMPLES_PER_SECOND)))
    pytest = [sys.executable, "-m", "pytest", "--quiet", "--timeout=0", PYTHON_TARGET]
    if not passes("the frame codec in Python", pytest, PROJECT, share):
        found.append(PYTHON_TARGET)
    print(f"Fuzzed {len(targets) + 1} targets for {share:.1f} s each; findings: {', '.join(found) or 'none'}.")
    return 1 if found else 0


def go_targets() -> list[Target]:
    """The fuzz targets of all packages, in the order in which Go lists them."""
    listing = subprocess.run(
        ["go", "test", "-list=^Fuzz", "./..."], cwd=GO_SOURCES, check=True, capture_output=True, text=True
    ).stdout
    targets: list[Target] = []
    names: list[str] = []
    for line in listing.splitlines():
        if line.startswith("Fuzz"):
            names.append(line.strip())
        elif package := re.match(r"ok\s+(\S+)", line):
            targets += [Target(package[1], name) for name in names]
            names = []
    return targets


def passes(name: str, command: list[str], folder: Path, share_seconds: float) -> bool:
    """Run one target; what it says is shown only if it has found something."""
    print(f"Fuzzing {name} ...", flush=True)
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=share_seconds * 3 + BUILD_SECONDS,
        check=False,
    )
    found = done.returncode != 0 and not TIME_WAS_UP.search(done.stdout)
    if found:
        print(done.stdout, flush=True)
    return not found


if __name__ == "__main__":
    sys.exit(main())

"""A wall clock that can be set, for a process that is started with it."""

import mmap
import os
import shlex
import struct
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from tengo_bridge.build import find_c_compiler, install_c_compiler
from tests.chaos.evidence import ClockSetting

SOURCE = Path(__file__).with_name("clock.c")
OFFSET = struct.Struct("=q")


class SettableClock:
    """The clock of whoever is started with :attr:`environ`: the machine's, until it is set forward or back."""

    def __init__(self, folder: Path) -> None:
        self._library = folder / "clock.so"
        self._file = folder / "clock-offset"
        self._offset_ms = 0
        compile_clock(self._library)
        self._file.write_bytes(OFFSET.pack(0))
        with self._file.open("r+b") as file:
            self._mapped = mmap.mmap(file.fileno(), OFFSET.size)
        self.settings = [ClockSetting(at_ms=machine_ms(), offset_ms=0)]

    @property
    def environ(self) -> Mapping[str, str]:
        """The variables for the process whose clock this is."""
        return {"LD_PRELOAD": str(self._library), "CHAOS_CLOCK_FILE": str(self._file)}

    def now_ms(self) -> int:
        return machine_ms() + self._offset_ms

    def jump(self, seconds: float) -> None:
        """Set it forward, or back if ``seconds`` is negative."""
        self._set(self._offset_ms + round(seconds * 1000))

    def set_past_all_others(self) -> None:
        """Set it forward to where it is later than it ever was."""
        self._set(max(setting.offset_ms for setting in self.settings))

    def close(self) -> None:
        self._mapped.close()

    def _set(self, offset_ms: int) -> None:
        self._offset_ms = offset_ms
        self._mapped[:] = OFFSET.pack(offset_ms * 1_000_000)
        self.settings.append(ClockSetting(at_ms=machine_ms(), offset_ms=offset_ms))


def compile_clock(library: Path) -> None:
    """Compile the library that is preloaded. Raises BuildError if there is no C compiler."""
    compiler = find_c_compiler(os.environ) or install_c_compiler()
    subprocess.run([*shlex.split(compiler), "-shared", "-fPIC", "-O2", "-o", library, SOURCE], check=True)


def machine_ms() -> int:
    return time.time_ns() // 1_000_000

"""The wall clock that can be set."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.clock import SettableClock

READ = """
import asyncio, datetime, time, uvloop
async def read():
    now = asyncio.get_running_loop().time()
    return [time.time(), time.time_ns() / 1e9, datetime.datetime.now(datetime.UTC).timestamp()], now, time.monotonic()
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    print(*runner.run(read()), sep="|")
"""


@pytest.mark.parametrize("seconds", [0.0, 90.5, -3600.0])
def test_a_process_sees_the_wall_clock_that_was_set_and_its_durations_are_true(tmp_path: Path, seconds: float) -> None:
    clock = SettableClock(tmp_path)
    clock.jump(seconds)
    environ = {**os.environ, **clock.environ}
    before_ms = clock.now_ms()
    said = subprocess.run([sys.executable, "-c", READ], env=environ, check=True, capture_output=True, text=True).stdout
    walls, loop_seconds, monotonic = said.split("|")
    for wall in walls.strip("[]").split(","):
        assert before_ms <= float(wall) * 1000 + 1 <= clock.now_ms() + 2
    assert abs(float(loop_seconds) - float(monotonic)) < 5
    assert [setting.offset_ms for setting in clock.settings] == [0, round(seconds * 1000)]
    clock.close()

"""When, by the machine's clock, the manager's showed a time."""

from collections.abc import Sequence

from tests.chaos.evidence import ClockSetting

CLOCK_TOLERANCE_MS = 200
"""Between setting the manager's clock and noting it; between reading it and writing down what was read."""


def machine_times(manager_ms: int, clock: Sequence[ClockSetting]) -> list[int]:
    """When the manager's clock can have shown what it was read to show; at least once."""
    return times_shown(manager_ms, clock) or [manager_ms - clock[0].offset_ms]


def times_shown(manager_ms: int, clock: Sequence[ClockSetting]) -> list[int]:
    """When it can have shown this: more than once if it was set back, and never if it was set past it."""
    ends = [*[setting.at_ms for setting in clock[1:]], None]
    times = []
    for setting, end_ms in zip(clock, ends, strict=True):
        at_ms = manager_ms - setting.offset_ms
        if at_ms >= setting.at_ms - CLOCK_TOLERANCE_MS and (end_ms is None or at_ms <= end_ms + CLOCK_TOLERANCE_MS):
            times.append(at_ms)
    return times

"""Processes as the kernel lists them."""

from pathlib import Path


def children(pid: int) -> list[int]:
    """The processes that one has started; none if it is gone."""
    try:
        lists = [path.read_text(encoding="ascii") for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []
    return [int(text) for each in lists for text in each.split()]


def alive(pid: int) -> bool:
    """Whether it is there, and not merely waited for by its parent."""
    return begun(pid) is not None


def listed(pid: int) -> bool:
    """Whether there is such a process, or its parent has not yet asked how it ended."""
    return Path(f"/proc/{pid}").exists()


def begun(pid: int) -> int | None:
    """When it was started, in clock ticks since the machine was: tells it from a later one with its number.

    None if it is gone.
    """
    try:
        # The name, in brackets, may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])

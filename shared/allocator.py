"""How the C library gives memory back, in a process that runs for years."""

import ctypes

# From <malloc.h> of the GNU C library.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

LARGE_BYTES = 128 * 1024
KEPT_BYTES = 1024 * 1024
"""How much free memory a heap keeps. With less, a thread gave some back after each transaction and took it again."""
ARENAS = 2


def give_memory_back() -> None:
    """Have large blocks returned to the system as soon as they are free, and few heaps kept for threads.

    The GNU C library learns from large blocks that come and go, such as bodies of some MiB, to keep them, among small
    ones that stay: the process then grows by a quarter and stays so. Other C libraries do not learn that.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        return
    for parameter, value in (
        (_M_MMAP_THRESHOLD, LARGE_BYTES),
        (_M_TRIM_THRESHOLD, KEPT_BYTES),
        (_M_ARENA_MAX, ARENAS),
    ):
        libc.mallopt(parameter, value)

"""Ctrl-C, for commands that go on until it comes."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN_SECONDS = 0.2


@contextmanager
def heard_when_interrupted() -> Iterator[None]:
    """Within, Ctrl-C comes again until it is heard.

    Python drops an exception that comes up while an object is cleared away, as the answer of each call is; a command
    that asks again and again would go on for ever. For the main thread, and not for what has cleaning up to do.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield  # who has started the command wants it otherwise
        return
    signal.signal(signal.SIGALRM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
    raise KeyboardInterrupt

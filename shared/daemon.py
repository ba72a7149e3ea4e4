"""The life of a daemon: start, say so, work until a signal, finish what is in flight, end."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TextIO

import structlog
import uvloop

from shared.logging import LineWriter
from shared.notify import SystemdNotifier

log = structlog.get_logger()

FIRST_RESTART_SECONDS = 0.5
LONGEST_RESTART_SECONDS = 30.0

OBJECTS_PER_COLLECTION = 5_000
"""How many objects come up before garbage is looked for: by default few enough that it happens every few requests."""


class Daemon(Protocol):
    """What runs between start and end."""

    async def reload(self) -> None:
        """Read again what can be read again (SIGHUP). Raises SelfhostError; the old state then stays."""

    async def drain(self) -> None:
        """Take nothing new and wait for what is in flight, as long as is configured (SIGTERM)."""


class Signals:
    """Signal handlers set flags and do nothing else."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.force = asyncio.Event()
        self.reload = asyncio.Event()

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.add_signal_handler(signal.SIGTERM, self._ask_to_stop)
        loop.add_signal_handler(signal.SIGINT, self._ask_to_stop)
        loop.add_signal_handler(signal.SIGHUP, self.reload.set)

    def _ask_to_stop(self) -> None:
        (self.force if self.stop.is_set() else self.stop).set()


def run_daemon(opened: AbstractAsyncContextManager[Daemon], notifier: SystemdNotifier, lines: LineWriter) -> int:
    """Run a daemon to its end; gives the exit status: 0 after a drained stop, 1 after a forced one.

    Raises what ``opened`` raises when the daemon cannot start.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, lines.gathered(runner.get_loop()):
        return runner.run(_live(opened, notifier))


async def _live(opened: AbstractAsyncContextManager[Daemon], notifier: SystemdNotifier) -> int:
    signals = Signals()
    signals.install(asyncio.get_running_loop())
    async with opened as daemon, asyncio.TaskGroup() as group:
        helpers = [
            group.create_task(notifier.keep_alive()),
            group.create_task(_reload_on_signal(daemon, signals)),
        ]
        # What is there by now stays to the end; the collector of garbage need not look at it over and over.
        gc.freeze()
        gc.set_threshold(OBJECTS_PER_COLLECTION)
        notifier.send("READY=1")
        await signals.stop.wait()
        log.info("daemon_stopping")
        notifier.send("STOPPING=1")
        drained = await _drain(daemon, signals)
        for helper in helpers:
            helper.cancel()
    log.info("daemon_stopped", drained=drained)
    flush_or_drop(sys.stderr)
    return 0 if drained else 1


def flush_or_drop(stream: TextIO) -> None:
    """Flush ``stream``. If it cannot be written to, drop it: the interpreter would take that for a failed end."""
    try:
        stream.flush()
    except (OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)


async def _drain(daemon: Daemon, signals: Signals) -> bool:
    """Drain, unless a second signal asks to end at once. Says whether it drained."""
    draining = asyncio.ensure_future(daemon.drain())
    forced = asyncio.ensure_future(signals.force.wait())
    await asyncio.wait({draining, forced}, return_when=asyncio.FIRST_COMPLETED)
    forced.cancel()
    if draining.done():
        draining.result()
        return True
    draining.cancel()
    await asyncio.wait({draining})
    return False


async def _reload_on_signal(daemon: Daemon, signals: Signals) -> None:
    while True:
        await signals.reload.wait()
        signals.reload.clear()
        try:
            await daemon.reload()
        except Exception as error:  # noqa: BLE001 - a failed reload keeps the old state, whatever the reason
            log.error("reload_failed", reason=str(error))
        else:
            log.info("reloaded")


async def supervise(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run an endless piece of work; should it fail, say so and start it again, ever later after failures in a row."""
    loop = asyncio.get_running_loop()
    pause_seconds = FIRST_RESTART_SECONDS
    while True:
        started = loop.time()
        try:
            await work()
            return
        except Exception:
            log.exception("task_failed", task=name, restart_seconds=pause_seconds)
        await asyncio.sleep(pause_seconds)
        ran_well = loop.time() - started > LONGEST_RESTART_SECONDS + pause_seconds
        pause_seconds = FIRST_RESTART_SECONDS if ran_well else min(pause_seconds * 2, LONGEST_RESTART_SECONDS)

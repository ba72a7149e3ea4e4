"""The faults, done to a stage. Each is over, and mended, when its function returns."""

import asyncio
import os
import resource
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress

from tests.chaos.faults import Fault, FaultKind
from tests.chaos.proxy import Proxy
from tests.chaos.stage import Stage, executors_of
from tests.support.daemons import DaemonProcess


async def perform_all(stage: Stage, faults: Sequence[Fault]) -> None:
    """Perform faults in their time, counted from now; returns when all are over."""
    async with asyncio.TaskGroup() as group:
        for fault in faults:
            group.create_task(_perform(stage, fault))


async def _perform(stage: Stage, fault: Fault) -> None:
    await asyncio.sleep(fault.at_seconds)
    await PERFORMERS[fault.kind](stage, fault)


async def kill_manager(stage: Stage, fault: Fault) -> None:
    await _kill(stage, stage.manager, fault.seconds)


async def kill_worker(stage: Stage, fault: Fault) -> None:
    await _kill(stage, stage.workers[fault.worker], fault.seconds)


async def _kill(stage: Stage, daemon: DaemonProcess, seconds: float) -> None:
    async with stage.locks[daemon]:
        stage.note_if_ended(daemon)
        await daemon.kill()
        await asyncio.sleep(seconds)
        await stage.start_again(daemon)


async def restart_manager(stage: Stage, fault: Fault) -> None:
    await _restart(stage, stage.manager, fault.seconds)


async def restart_worker(stage: Stage, fault: Fault) -> None:
    await _restart(stage, stage.workers[fault.worker], fault.seconds)


async def _restart(stage: Stage, daemon: DaemonProcess, seconds: float) -> None:
    async with stage.locks[daemon]:
        stage.note_if_ended(daemon)
        # It may wait for what is away just now: then it is ended, as its service manager would do.
        with suppress(TimeoutError):
            await daemon.stop()
        await daemon.kill()
        await asyncio.sleep(seconds)
        await stage.start_again(daemon)


async def freeze_manager(stage: Stage, fault: Fault) -> None:
    await _freeze_daemon(stage, stage.manager, fault.seconds)


async def freeze_worker(stage: Stage, fault: Fault) -> None:
    await _freeze_daemon(stage, stage.workers[fault.worker], fault.seconds)


async def _freeze_daemon(stage: Stage, daemon: DaemonProcess, seconds: float) -> None:
    async with stage.locks[daemon]:
        with _process(daemon.pid) as process:
            await _freeze(process, seconds)


async def kill_executor(stage: Stage, fault: Fault) -> None:
    with _an_executor(stage, fault) as process:
        if process is not None:
            signal.pidfd_send_signal(process, signal.SIGKILL)


async def freeze_executor(stage: Stage, fault: Fault) -> None:
    with _an_executor(stage, fault) as process:
        if process is not None:
            await _freeze(process, fault.seconds)


@contextmanager
def _an_executor(stage: Stage, fault: Fault) -> Iterator[int | None]:
    """One of a worker's executors; None if it has none."""
    executors = sorted(executors_of(stage.workers[fault.worker]))
    if not executors:
        yield None
        return
    # Which one does not matter, but the same fault always takes the same of so many.
    pid, _ = executors[int(fault.seconds * 1000) % len(executors)]
    with suppress(ProcessLookupError), _process(pid) as process:
        yield process


@contextmanager
def _process(pid: int) -> Iterator[int]:
    """A process by a descriptor, which never comes to mean another one."""
    process = os.pidfd_open(pid)
    try:
        yield process
    finally:
        os.close(process)


async def _freeze(process: int, seconds: float) -> None:
    signal.pidfd_send_signal(process, signal.SIGSTOP)
    await asyncio.sleep(seconds)
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(process, signal.SIGCONT)


async def cut_worker(stage: Stage, fault: Fault) -> None:
    stage.worker_proxies[fault.worker].cut()


async def refuse_worker(stage: Stage, fault: Fault) -> None:
    await _refuse(stage, stage.worker_proxies[fault.worker], fault.seconds)


async def refuse_manager(stage: Stage, fault: Fault) -> None:
    await _refuse(stage, stage.manager_proxy, fault.seconds)


async def _refuse(stage: Stage, proxy: Proxy, seconds: float) -> None:
    async with stage.locks[proxy]:
        await proxy.refuse()
        await asyncio.sleep(seconds)
        await proxy.accept()


async def delay_worker(stage: Stage, fault: Fault) -> None:
    await _delay(stage, stage.worker_proxies[fault.worker], fault.seconds)


async def _delay(stage: Stage, proxy: Proxy, seconds: float) -> None:
    async with stage.locks[proxy]:
        proxy.delay_seconds = seconds / 10
        await asyncio.sleep(seconds)
        proxy.delay_seconds = 0.0


async def clock_forward(stage: Stage, fault: Fault) -> None:
    stage.clock.jump(fault.seconds)


async def clock_back(stage: Stage, fault: Fault) -> None:
    stage.clock.jump(-fault.seconds)


async def fill_disk(stage: Stage, fault: Fault) -> None:
    if stage.postgres is not None:
        async with stage.locks[stage.postgres]:
            await stage.postgres.refuse_writes(True)
            await asyncio.sleep(fault.seconds)
            await stage.postgres.refuse_writes(False)
        return
    largest_bytes = max(path.stat().st_size for path in stage.installation.folder.glob("*.db*"))
    with _files_no_larger_than(largest_bytes, stage.manager.pid):
        await asyncio.sleep(fault.seconds)


@contextmanager
def _files_no_larger_than(size_bytes: int, pid: int) -> Iterator[None]:
    """The kernel says to a process what a full disk would."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    with suppress(ProcessLookupError):  # it may be killed before it is over
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size_bytes, before[1]))
        yield
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


async def kill_database(stage: Stage, fault: Fault) -> None:
    async with _postgres_down(stage, fault):
        assert stage.postgres is not None
        await stage.postgres.server.kill()


async def restart_database(stage: Stage, fault: Fault) -> None:
    async with _postgres_down(stage, fault):
        assert stage.postgres is not None
        await stage.postgres.server.stop()


@asynccontextmanager
async def _postgres_down(stage: Stage, fault: Fault) -> AsyncIterator[None]:
    """What is inside ends it; it is started again after a while."""
    assert stage.postgres is not None
    async with stage.locks[stage.postgres]:
        yield
        await asyncio.sleep(fault.seconds)
        await stage.postgres.server.start()


async def cut_database(stage: Stage, fault: Fault) -> None:
    assert stage.postgres is not None
    stage.postgres.proxy.cut()


async def refuse_database(stage: Stage, fault: Fault) -> None:
    assert stage.postgres is not None
    await _refuse(stage, stage.postgres.proxy, fault.seconds)


async def delay_database(stage: Stage, fault: Fault) -> None:
    assert stage.postgres is not None
    await _delay(stage, stage.postgres.proxy, fault.seconds)


PERFORMERS: Mapping[FaultKind, Callable[[Stage, Fault], Awaitable[None]]] = {
    FaultKind.KILL_MANAGER: kill_manager,
    FaultKind.FREEZE_MANAGER: freeze_manager,
    FaultKind.RESTART_MANAGER: restart_manager,
    FaultKind.KILL_WORKER: kill_worker,
    FaultKind.FREEZE_WORKER: freeze_worker,
    FaultKind.RESTART_WORKER: restart_worker,
    FaultKind.KILL_EXECUTOR: kill_executor,
    FaultKind.FREEZE_EXECUTOR: freeze_executor,
    FaultKind.CUT_WORKER: cut_worker,
    FaultKind.REFUSE_WORKER: refuse_worker,
    FaultKind.DELAY_WORKER: delay_worker,
    FaultKind.REFUSE_MANAGER: refuse_manager,
    FaultKind.CLOCK_FORWARD: clock_forward,
    FaultKind.CLOCK_BACK: clock_back,
    FaultKind.FILL_DISK: fill_disk,
    FaultKind.KILL_DATABASE: kill_database,
    FaultKind.RESTART_DATABASE: restart_database,
    FaultKind.CUT_DATABASE: cut_database,
    FaultKind.REFUSE_DATABASE: refuse_database,
    FaultKind.DELAY_DATABASE: delay_database,
}

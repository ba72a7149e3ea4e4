"""The faults, done to a stage. Each is over, and mended, when its function returns."""

import asyncio
import os
import resource
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress

from tests.chaos import pausing
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
        with _frozen(daemon.pid):
            await asyncio.sleep(seconds)


async def kill_executors(stage: Stage, fault: Fault) -> None:
    for pid, _ in executors_of(stage.workers[fault.worker]):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def freeze_executors(stage: Stage, fault: Fault) -> None:
    with ExitStack() as stack:
        for pid, _ in executors_of(stage.workers[fault.worker]):
            with suppress(ProcessLookupError):
                stack.enter_context(_frozen(pid))
        await asyncio.sleep(fault.seconds)


@contextmanager
def _frozen(pid: int) -> Iterator[None]:
    """A process that stands still meanwhile; by a descriptor, which never comes to mean another one."""
    process = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(process, signal.SIGSTOP)
        yield
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(process, signal.SIGCONT)
    finally:
        os.close(process)


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
    with suppress(ProcessLookupError), _files_no_larger_than(largest_bytes, stage.manager.pid):
        await asyncio.sleep(fault.seconds)


@contextmanager
def _files_no_larger_than(size_bytes: int, pid: int) -> Iterator[None]:
    """The kernel says to a process what a full disk would. Raises ProcessLookupError if it is gone, before or after."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    yield
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


async def pause_programs(stage: Stage, fault: Fault) -> None:
    await pausing.pause_programs(stage, fault.seconds)


async def pause_domain(stage: Stage, fault: Fault) -> None:
    await pausing.pause_domain(stage, fault.seconds)


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
        await stage.start_postgres()


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
    FaultKind.KILL_EXECUTORS: kill_executors,
    FaultKind.FREEZE_EXECUTORS: freeze_executors,
    FaultKind.CUT_WORKER: cut_worker,
    FaultKind.REFUSE_WORKER: refuse_worker,
    FaultKind.DELAY_WORKER: delay_worker,
    FaultKind.REFUSE_MANAGER: refuse_manager,
    FaultKind.CLOCK_FORWARD: clock_forward,
    FaultKind.CLOCK_BACK: clock_back,
    FaultKind.FILL_DISK: fill_disk,
    FaultKind.PAUSE_PROGRAMS: pause_programs,
    FaultKind.PAUSE_DOMAIN: pause_domain,
    FaultKind.KILL_DATABASE: kill_database,
    FaultKind.RESTART_DATABASE: restart_database,
    FaultKind.CUT_DATABASE: cut_database,
    FaultKind.REFUSE_DATABASE: refuse_database,
    FaultKind.DELAY_DATABASE: delay_database,
}

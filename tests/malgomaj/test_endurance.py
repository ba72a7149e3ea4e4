"""A thousand hostile programs in a row leave nothing behind: no process, descriptor, goroutine or memory."""

import asyncio
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

from tengo_bridge.engine import Engine
from tengo_bridge.frames import Frame, Kind
from tests.malgomaj.hostile.programs import Hostile, hostile_programs
from tests.malgomaj.hostile.server import hostile_server
from tests.malgomaj.manager import LocalManager
from tests.malgomaj.worker import RunningWorker, running_worker
from tests.support.waiting import until

RUNS = 1000
DEADLINE_MS = 60
AT_ONCE = 8
TRIVIAL = "x := 1"


def descriptors(pid: int) -> int:
    """All but TCP connections, of which both sides of HTTP keep some for later."""
    links = [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()]
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    connections = {f"socket:[{line.split()[9]}]" for line in lines}
    return sum(link not in connections for link in links)


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


async def run_all(worker: RunningWorker, programs: Iterator[Hostile]) -> int:
    """Run them, a few at a time, in several domains; gives how many there were."""
    count = 0

    async def take_turns(domain: str) -> None:
        nonlocal count
        for program in programs:
            fields = {"deadline": DEADLINE_MS, **program.fields, "domain": domain}
            await worker.report(program.source, **fields)
            count += 1

    async with asyncio.TaskGroup() as group:
        for number in range(AT_ONCE):
            group.create_task(take_turns(f"hostile-{number % 4}"))
    return count


async def quiet(worker: RunningWorker) -> None:
    """Wait until all executors have ended for want of work."""

    async def ended() -> bool:
        return not worker.executors()

    await until(ended, "all executors end")


async def test_a_thousand_hostile_programs_leave_nothing_behind(tmp_path: Path, manager: LocalManager) -> None:
    settings = {"EXECUTORS__IDLE_SECONDS": "1", "EXECUTORS__CRASHES_FORGIVEN": "1000000", "LOG__LEVEL": "error"}
    async with hostile_server() as url, running_worker(tmp_path, manager, **settings) as worker:
        programs = hostile_programs(url)
        for program in programs:
            manager.modules |= {name: {0: source} for name, source in program.modules.items()}
        # Once before anything is counted: what is kept for good, such as copies of modules, is there then.
        await run_all(worker, iter(programs))
        await quiet(worker)
        before = descriptors(worker.process.pid), resident_bytes(worker.process.pid)
        files = files_in(tmp_path)
        assert await run_all(worker, islice(cycle(programs), RUNS)) == RUNS
        await quiet(worker)
        after = descriptors(worker.process.pid), resident_bytes(worker.process.pid)
        assert after[0] <= before[0]
        assert after[1] < before[1] * 1.1
        assert files_in(tmp_path) == files
        assert (await worker.run(TRIVIAL)).status == 200


def goroutines(engine: Engine) -> int:
    engine.send(Frame(Kind.PING, 1))
    return int(engine.receive().meta["goroutines"])


def test_hostile_programs_leave_no_goroutine_behind() -> None:
    harmless = [each for each in hostile_programs("http://127.0.0.1:1") if each.stoppable and not each.modules]
    with Engine() as engine:
        engine.compile("trivial", TRIVIAL)
        engine.run("trivial", deadline_ms=1000)
        before = goroutines(engine)
        for program in harmless:
            if isinstance(program.source, str) and "memory" not in program.ends:
                key = program.name
                if engine.compile(key, program.source).kind is Kind.COMPILED:
                    engine.run(key, deadline_ms=DEADLINE_MS)
        # One each may be kept to work on, and to watch the memory.
        assert goroutines(engine) <= before + 2

"""What the engine costs beside the program itself: against a bare machine of Tengo, and against plain Go over HTTP."""

import asyncio
import statistics
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from malgomaj.executor import Executor, ExecutorOptions, spawn
from tengo_bridge.compiling import CompileOrder
from tengo_bridge.engine import Engine

PLAIN_GO = Path(__file__).with_name("plain_go")

FIBONACCI = "fib := func(n) { if n < 2 { return n }; return fib(n-1) + fib(n-2) }; x := fib(20)"
TRIVIAL = "x := 1"
WAIT_50_MS = 'import("times").sleep(50000000)'
RUNS = 2000


def build_plain_go(folder: Path) -> Path:
    """The program that the worker is measured against, built with the Go on the PATH."""
    program = folder / "plain_go"
    subprocess.run(["go", "build", "-o", str(program), "."], cwd=PLAIN_GO, check=True)
    return program


def bare_fibonacci_us(program: Path) -> float:
    """A run of fib(20) on Tengo's own machine, used again, in microseconds."""
    done = subprocess.run([str(program), "fibonacci"], check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def engine_fibonacci_us(runs: int = 200) -> float:
    """The same in the engine, by its own account of each run, in microseconds."""
    with Engine() as engine:
        engine.compile("fib", FIBONACCI)
        engine.run("fib", deadline_ms=10_000)
        elapsed = [engine.run("fib", deadline_ms=10_000)[-1].meta["elapsed_us"] for _ in range(runs)]
    return statistics.fmean(elapsed)


async def pooled_run_us(executor: Executor) -> float:
    """What a run of a program that does nothing takes of an executor's time, in microseconds of its processor.

    Many runs are under way at once, so that frames are read and written many at a time, as under load.
    """
    await executor.compile(CompileOrder("trivial", "tengo", "trivial", TRIVIAL.encode(), {}))
    await _run_all(executor, "trivial", RUNS)
    before = processor_seconds(executor.pid)
    rounds = 10
    for _ in range(rounds):
        await _run_all(executor, "trivial", RUNS)
    return (processor_seconds(executor.pid) - before) / (rounds * RUNS) * 1e6


async def waiting_together_ms(executor: Executor, runs: int = 64) -> float:
    """How long that many runs of one program take together that each wait for 50 ms."""
    await executor.compile(CompileOrder("wait", "tengo", "wait", WAIT_50_MS.encode(), {}))
    began = time.perf_counter()
    await _run_all(executor, "wait", runs)
    return (time.perf_counter() - began) * 1000


async def _run_all(executor: Executor, key: str, runs: int) -> None:
    done = await asyncio.gather(*[executor.run(key, 10_000, None, b"", print) for _ in range(runs)])
    assert all(each.meta["outcome"] == "succeeded" for each in done)


def processor_seconds(pid: int) -> float:
    """User and system time of the threads of a process."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text(encoding="ascii").split()[0]) for thread in threads) / 1e9


@asynccontextmanager
async def one_executor(options: ExecutorOptions) -> AsyncIterator[tuple[Executor, float]]:
    """An executor, and how long it took until it was ready (ms)."""
    began = time.perf_counter()
    executor = await spawn("bench", options)
    watch = asyncio.create_task(executor.watch())
    try:
        await executor.ready()
        yield executor, (time.perf_counter() - began) * 1000
    finally:
        executor.kill()
        await watch


@asynccontextmanager
async def plain_go_server(program: Path) -> AsyncIterator[int]:
    """The plain server, on the port that it prints."""
    process = await asyncio.create_subprocess_exec(program, "serve", stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield int(await process.stdout.readline())
    finally:
        process.terminate()
        await process.wait()

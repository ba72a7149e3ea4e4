"""What the engine costs beside the program itself: an executor, against a bare machine of Tengo."""

import asyncio
import statistics
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.installation import processor_seconds
from bench.tools import built
from malgomaj.config import WorkerSettings
from malgomaj.egress import load_egress
from malgomaj.executor import Executor, spawn
from malgomaj.executor_options import executor_options
from tengo_bridge.compiling import CompileOrder

FIBONACCI = "fib := func(n) { if n < 2 { return n }; return fib(n-1) + fib(n-2) }; x := fib(20)"
TRIVIAL = "x := 1"
RUNS = 200
TOGETHER = 50
"""Rounds of as many runs at once."""


def raw_fibonacci_us() -> float:
    """A run of fib(20) on Tengo's own machine, used again, in microseconds."""
    done = subprocess.run([str(built("peer_go")), "fibonacci"], check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


async def fibonacci_us(executor: Executor) -> float:
    """The same in an executor, one run after the other, by its own account of each."""
    await executor.compile(CompileOrder("fib", "tengo", "fib", FIBONACCI.encode(), {}))
    elapsed = []
    for _ in range(RUNS):
        done = await executor.run("fib", 10_000, None, b"", print)
        assert done.meta["outcome"] == "succeeded", done.meta
        elapsed.append(float(done.meta["elapsed_us"]))
    return statistics.fmean(elapsed)


async def pooled_run_us(executor: Executor) -> float:
    """What a run of a program that does nothing takes of an executor's time, in microseconds of its processor.

    Many runs are under way at once, so that frames are read and written many at a time, as under load.
    """
    await executor.compile(CompileOrder("trivial", "tengo", "trivial", TRIVIAL.encode(), {}))
    await _run_together(executor)
    before = processor_seconds(executor.pid)
    for _ in range(TOGETHER):
        await _run_together(executor)
    return (processor_seconds(executor.pid) - before) / (TOGETHER * RUNS) * 1e6


async def _run_together(executor: Executor) -> None:
    done = await asyncio.gather(*[executor.run("trivial", 10_000, None, b"", print) for _ in range(RUNS)])
    assert all(each.meta["outcome"] == "succeeded" for each in done)


@asynccontextmanager
async def one_executor() -> AsyncIterator[Executor]:
    """An executor as the worker starts it."""
    settings = WorkerSettings()
    executor = await spawn("bench", executor_options(settings, load_egress(settings.egress, {}), "bench"))
    watch = asyncio.create_task(executor.watch())
    try:
        await executor.ready()
        yield executor
    finally:
        executor.kill()
        await watch

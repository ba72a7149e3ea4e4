"""Programs in files and the executors that they are given."""

import os
import signal

from malgomaj.config import WorkerSettings
from malgomaj.egress import EgressPolicy
from malgomaj.executor import ExecutorOptions
from malgomaj.executor_options import executor_options
from malgomaj.local import check_all
from malgomaj.sources import LocalFile, Sources
from shared.wire import ErrorKind
from tests.support.processes import children


def options() -> ExecutorOptions:
    settings = WorkerSettings()
    return executor_options(settings, EgressPolicy(settings.egress), "local")


def ours() -> set[int]:
    return set(children(os.getpid()))


async def test_a_program_that_ends_the_executor_costs_the_next_one_nothing() -> None:
    before = ours()
    programs = [Sources(LocalFile(name, b"x := 1"), {}) for name in ("first", "second", "third")]
    results = check_all(programs, options())
    assert (await anext(results))[1] == []
    (executor,) = ours() - before
    os.kill(executor, signal.SIGKILL)
    sources, errors = await anext(results)
    assert sources.main.name == "second"
    assert [error.kind for error in errors] == [ErrorKind.CRASH]
    assert (await anext(results))[1] == []
    assert await anext(results, None) is None
    assert ours() == before

"""Runs that workers hold before they are due, and what becomes of them if somebody goes meanwhile."""

import signal
from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

import pytest

from tests.support.daemons import DaemonProcess
from tests.support.installation import Domain, Installation, Json
from tests.support.metrics import samples, total
from tests.support.waiting import until

TOGETHER = "*/4 * * * * *"
ROUTINES = 20
AHEAD = {"SCHEDULE__AHEAD_SECONDS": "2"}


async def test_what_is_due_together_is_held_and_starts_when_it_is_due(
    installation: Installation, domain: Domain
) -> None:
    uuids = [await domain.add(f"beat {number}", "x := 1", kind="routine", schedule=TOGETHER) for number in range(9)]
    _, worker = await _start(installation, 1)
    await _until_held(installation, [worker], lambda held: held == [9])
    runs = [(await installation.until_runs(uuid, 2))[1] for uuid in uuids]
    assert {run["outcome"] for run in runs} == {"succeeded"}
    assert len({run["due"] for run in runs}) == 1
    for run in runs:
        claimed, due, started = (datetime.fromisoformat(run[name]) for name in ("claimed", "due", "started"))
        assert claimed < due <= started


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
async def test_what_a_worker_held_that_ends_before_it_is_due_is_run_by_another(
    installation: Installation, domain: Domain, end: signal.Signals
) -> None:
    uuids = [
        await domain.add(f"beat {number}", "x := 1", kind="routine", schedule=TOGETHER) for number in range(ROUTINES)
    ]
    _, first, second = await _start(installation, 2)
    held = await _until_held(installation, [first, second], lambda held: sum(held) == ROUTINES and min(held) > 0)
    first.signal(end)
    (due,) = held
    runs = [await _run_due(installation, uuid, due) for uuid in uuids]
    assert [run["outcome"] for run in runs] == ["succeeded"] * ROUTINES
    assert {run["worker"] for run in runs} == {f"127.0.0.1:{second.port}"}


async def test_a_program_that_is_taken_away_while_it_is_held_does_not_begin(
    installation: Installation, domain: Domain
) -> None:
    uuid = await domain.add("beat", "x := 1", kind="routine", schedule=TOGETHER)
    _, worker = await _start(installation, 1)
    (due,) = await _until_held(installation, [worker], lambda held: held == [1])
    assert (await installation.call("PUT", f"/v2/programs/{uuid}", json={"state": "inactive"})).status == 204
    run = await _run_due(installation, uuid, due)
    assert (run["outcome"], run["started"]) == ("cancelled", None)
    assert "not active" in run["reason"] or "no active routine" in run["reason"]


async def test_a_manager_that_stops_lets_what_is_held_begin(installation: Installation, domain: Domain) -> None:
    uuid = await domain.add("beat", "x := 1", kind="routine", schedule=TOGETHER)
    manager, worker = await _start(installation, 1)
    (due,) = await _until_held(installation, [worker], lambda held: held == [1])
    manager.signal(signal.SIGTERM)
    assert await manager.wait() == 0
    await manager.start()
    assert (await _run_due(installation, uuid, due))["outcome"] == "succeeded"


async def _start(installation: Installation, workers: int) -> Sequence[DaemonProcess]:
    daemons = [installation.manager(**AHEAD), *[installation.worker() for _ in range(workers)]]
    for daemon in daemons:
        await daemon.start()

    async def all_subscribed() -> bool:
        return len(await installation.workers()) == workers

    await installation.until_ready()
    await until(all_subscribed, "all workers are subscribed")
    return daemons


async def _until_held(
    installation: Installation, workers: Sequence[DaemonProcess], enough: Callable[[list[float]], bool]
) -> set[str]:
    """Wait until the workers hold as many; gives the due times that the open runs are for."""

    async def are_held() -> bool:
        found = [await samples(installation, worker.url) for worker in workers]
        return enough([total(each, "malgomaj_tasks_held") for each in found])

    await until(are_held, "the workers hold what is due next")
    reply = await installation.call("GET", "/v2/runs?limit=100")
    open_runs: list[Json] = [run for run in reply.json() if run["outcome"] is None]
    return {run["due"] for run in open_runs}


async def _run_due(installation: Installation, uuid: UUID, due: str) -> Json:
    async def ended() -> Json | None:
        runs = await installation.runs(uuid)
        return next((run for run in runs if run["due"] == due), None)

    return await until(ended, f"the run due at {due} has ended")

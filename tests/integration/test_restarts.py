"""Daemons that come and go."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

from tests.support.daemons import DaemonProcess
from tests.support.installation import Domain, Installation, Json
from tests.support.waiting import until

BEAT = "x := 1"
EVERY_SECOND = "* * * * * *"
SLEEPER = """
cgi := import("cgi")
times := import("times")
times.sleep({0} * times.millisecond)
cgi.response.write("slept well")
"""


async def test_a_manager_that_is_killed_keeps_its_record_and_doubles_no_run(
    installation: Installation, domain: Domain
) -> None:
    uuid = await domain.add("beat", BEAT, kind="routine", schedule=EVERY_SECOND)
    manager, _ = await installation.start()
    before = await installation.until_runs(uuid, 2)
    await manager.kill()
    await asyncio.sleep(2.2)  # the time that passes is what this test is about
    await manager.start()
    await installation.until_ready()

    async def ran_again() -> list[Json] | None:
        runs = await installation.runs(uuid)
        late = [run for run in runs if run["claimed"] > before[-1]["claimed"] and run["outcome"] == "succeeded"]
        return runs if len(late) >= 2 else None

    runs = await until(ran_again, "the routine runs again")
    kept = {run["id"] for run in before}
    assert [run for run in runs if run["id"] in kept] == before
    due = [run["due"] for run in runs]
    assert len(set(due)) == len(due)
    assert "missed" in {run["outcome"] for run in runs}
    missed = next(run for run in runs if run["outcome"] == "missed")
    assert "not running, or too late" in missed["reason"]


async def test_a_run_that_was_under_way_when_the_manager_was_killed_is_lost_and_says_so(
    installation: Installation, domain: Domain
) -> None:
    uuid = await domain.add("sleeper", SLEEPER.format(3000))
    manager, _ = await installation.start()
    call = asyncio.create_task(installation.webhook(uuid))
    await _until_under_way(installation, uuid)
    await manager.kill()
    await asyncio.gather(call, return_exceptions=True)
    await manager.start()
    (run,) = await installation.until_runs(uuid, 1)
    assert run["outcome"] == "lost"
    assert run["reason"] == "the manager ended before the worker answered"


async def test_with_a_record_in_sqlite_what_was_answered_before_the_manager_was_killed_is_there_as_it_ended(
    installation: Installation, domain: Domain
) -> None:
    installation.record_url = f"sqlite:///{installation.folder}/record.db"
    quick, slow = await domain.add("quick", SLEEPER.format(0)), await domain.add("slow", SLEEPER.format(3000))
    manager, _ = await installation.start()
    call = asyncio.create_task(installation.webhook(slow))
    for _ in range(2):
        await _until_under_way(installation, slow)
        replies = [await installation.webhook(quick) for _ in range(25)]
        assert {reply.status for reply in replies} == {200}
        await manager.kill()
        await asyncio.gather(call, return_exceptions=True)
        await manager.start()
        await installation.until_ready()
        call = asyncio.create_task(installation.webhook(slow))
    runs = await installation.until_runs(quick, 50)
    assert [run["outcome"] for run in runs] == ["succeeded"] * 50
    await call
    assert [run["outcome"] for run in await installation.runs(slow)] == ["lost", "lost", "succeeded"]


async def test_a_worker_that_is_killed_in_mid_run_loses_the_run_and_the_next_goes_to_another(
    installation: Installation, domain: Domain
) -> None:
    uuid = await domain.add("sleeper", SLEEPER.format(700))
    _, worker = await installation.start()
    call = asyncio.create_task(installation.webhook(uuid))
    await _until_under_way(installation, uuid)
    await worker.kill()
    reply = await call
    assert reply.status == 502
    (run,) = await installation.until_runs(uuid, 1)
    assert run["outcome"] == "lost"
    assert f"127.0.0.1:{worker.port}" in run["reason"]
    await installation.worker().start()
    assert (await installation.webhook(uuid)).body == b"slept well"


async def test_sigterm_lets_the_manager_finish_what_is_under_way_and_start_nothing_new(
    installation: Installation, domain: Domain
) -> None:
    uuid = await domain.add("sleeper", SLEEPER.format(1500))
    manager, _ = await installation.start()
    call = asyncio.create_task(installation.webhook(uuid))
    await _until_under_way(installation, uuid)
    manager.signal(signal.SIGTERM)
    await until(_has(manager, "daemon_stopping"), "the manager is stopping")
    assert (await installation.webhook(uuid)).status == 503
    assert (await call).body == b"slept well"
    assert await manager.wait() == 0
    await manager.start()
    (run,) = await installation.until_runs(uuid, 1)
    assert run["outcome"] == "succeeded"


async def test_sigterm_lets_a_worker_finish_and_new_runs_go_elsewhere(
    installation: Installation, domain: Domain
) -> None:
    uuid = await domain.add("sleeper", SLEEPER.format(1000))
    _, first = await installation.start()
    call = asyncio.create_task(installation.webhook(uuid))
    await _until_under_way(installation, uuid)
    second = installation.worker()
    await second.start()
    await until(_workers(installation, second.port), "the second worker is subscribed")
    first.signal(signal.SIGTERM)
    assert (await call).body == b"slept well"
    assert await first.wait() == 0
    assert (await installation.webhook(uuid)).body == b"slept well"
    runs = await installation.until_runs(uuid, 2)
    assert [run["worker"] for run in runs] == [f"127.0.0.1:{daemon.port}" for daemon in (first, second)]


async def test_two_workers_share_the_load(installation: Installation, domain: Domain) -> None:
    uuid = await domain.add("sleeper", SLEEPER.format(50))
    _, first, second = await installation.start(workers=2)
    await until(_workers(installation, first.port), "the first worker is subscribed")
    await until(_workers(installation, second.port), "the second worker is subscribed")
    await asyncio.gather(*[installation.webhook(uuid) for _ in range(20)])
    runs = await installation.until_runs(uuid, 20)
    share = [run["worker"] for run in runs].count(f"127.0.0.1:{first.port}")
    assert 8 <= share <= 12


async def test_a_worker_that_is_up_before_the_manager_finds_it(installation: Installation, domain: Domain) -> None:
    uuid = await domain.add("sleeper", SLEEPER.format(1))
    worker = installation.worker()
    await worker.start()
    ready = await installation.call("GET", "/readyz", token=None, url=worker.url)
    assert ready.status == 503
    await installation.manager().start()
    await installation.until_ready()
    assert (await installation.webhook(uuid)).body == b"slept well"


async def test_a_worker_subscribes_again_at_a_manager_that_was_restarted(
    installation: Installation, domain: Domain
) -> None:
    uuid = await domain.add("sleeper", SLEEPER.format(1))
    manager, _ = await installation.start()
    assert await manager.stop() == 0
    await manager.start()
    await installation.until_ready()
    assert (await installation.webhook(uuid)).body == b"slept well"


def _has(daemon: DaemonProcess, event: str) -> Callable[[], Awaitable[bool]]:
    async def has() -> bool:
        return bool(daemon.events(event))

    return has


def _workers(installation: Installation, port: int) -> Callable[[], Awaitable[bool]]:
    async def subscribed() -> bool:
        manager = installation.daemons[0] if installation.daemons[0].name == "juvuln" else installation.daemons[1]
        return any(event["worker"].endswith(f":{port}") for event in manager.events("worker_subscribed"))

    return subscribed


async def _until_under_way(installation: Installation, uuid: object) -> None:
    async def under_way() -> bool:
        reply = await installation.call("GET", f"/v2/programs/{uuid}/runs")
        return any(run["outcome"] is None for run in reply.json())

    await until(under_way, "the run is on record")
    # On record is a moment before it is with a worker.
    await asyncio.sleep(0.2)

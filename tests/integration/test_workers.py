"""Which worker gets which run when, and what becomes of the runs of one that goes."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

from tests.support.commands import JuvulnCommand
from tests.support.installation import Domain, Installation, Reply
from tests.support.waiting import until

SLEEPER = """
cgi := import("cgi")
times := import("times")
times.sleep({0} * times.millisecond)
cgi.response.write("slept well")
"""
NAP = 'times := import("times")\ntimes.sleep(200 * times.millisecond)\n'
TOGETHER = "*/5 * * * * *"
ALMOST_NO_PLACES = "3"
WHEN_DUE = {"SCHEDULE__AHEAD_SECONDS": "0"}


async def test_a_domain_with_many_due_runs_does_not_keep_another_s_single_one_waiting(
    installation: Installation,
) -> None:
    flood, single = await installation.add_domain("flood"), await installation.add_domain("single")
    crowd = [await flood.add(f"nap {number}", NAP, kind="routine", schedule=TOGETHER) for number in range(60)]
    alone = await single.add("beat", "x := 1", kind="routine", schedule=TOGETHER)
    for daemon in (installation.manager(DISPATCH__PARALLEL=ALMOST_NO_PLACES, **WHEN_DUE), installation.worker()):
        await daemon.start()
    (run, *_) = await installation.until_runs(alone, 1, domain="single")
    assert run["outcome"] == "succeeded"
    first = [(await installation.until_runs(uuid, 1, domain="flood"))[0] for uuid in crowd]
    assert sum(other["due"] == run["due"] and other["started"] < run["started"] for other in first) < 10


async def test_the_runs_of_a_worker_that_falls_silent_are_lost_and_what_it_says_later_changes_nothing(
    installation: Installation, domain: Domain
) -> None:
    uuid = await domain.add("sleeper", SLEEPER.format(1500), deadline_ms=30_000)
    manager = installation.manager(WORKER__TIMEOUT="1.5", WORKER__SWEEP_SECONDS="0.2")
    worker = installation.worker()
    await manager.start()
    await worker.start()
    await installation.until_ready()
    call = asyncio.create_task(installation.webhook(uuid))
    await _until_at_a_worker(installation)
    worker.signal(signal.SIGSTOP)
    try:
        reply = await call
        assert reply.status == 502
        (lost,) = await installation.until_runs(uuid, 1)
        assert lost["outcome"] == "lost"
        assert lost["reason"] == f"127.0.0.1:{worker.port} was silent for 1.5 s"
        (dropped,) = manager.events("worker_dropped")
        assert dropped["runs"] == 1
    finally:
        worker.signal(signal.SIGCONT)
    await installation.until_ready()
    assert (await installation.webhook(uuid)).body == b"slept well"
    first, _ = await installation.until_runs(uuid, 2)
    assert first == lost


async def test_a_manager_that_stood_still_for_longer_than_a_worker_may_be_silent_gives_none_up_for_it(
    installation: Installation, domain: Domain
) -> None:
    uuid = await domain.add("sleeper", SLEEPER.format(2500), deadline_ms=30_000)
    manager = installation.manager(WORKER__TIMEOUT="1.5", WORKER__SWEEP_SECONDS="0.2")
    await manager.start()
    await installation.worker().start()
    await installation.until_ready()
    call = asyncio.create_task(installation.webhook(uuid))
    await _until_at_a_worker(installation)
    manager.signal(signal.SIGSTOP)
    await asyncio.sleep(2)  # the time that passes is what this test is about
    manager.signal(signal.SIGCONT)
    assert (await call).body == b"slept well"
    assert manager.events("worker_dropped") == []


async def test_runs_that_were_sent_together_are_each_lost_with_their_worker_and_each_on_record_once(
    installation: Installation, domain: Domain
) -> None:
    long = 'times := import("times")\ntimes.sleep(20 * times.second)\n'
    schedule = "*/3 * * * * *"
    uuids = [
        await domain.add(f"long {number}", long, kind="routine", schedule=schedule, deadline_ms=30_000)
        for number in range(20)
    ]
    manager, worker = installation.manager(**WHEN_DUE), installation.worker()
    await manager.start()
    await worker.start()
    await installation.until_ready()

    async def all_there() -> bool:
        (known,) = await installation.workers()
        return bool(known["runs"] == len(uuids))

    await until(all_there, "all runs are with the worker")
    await worker.kill()
    for uuid in uuids:
        runs = await installation.until_runs(uuid, 1)
        lost = [run for run in runs if run["outcome"] == "lost"]
        assert len(lost) == 1
        assert "broke before it answered" in lost[0]["reason"]


async def test_a_drained_worker_gets_no_new_runs_keeps_its_own_and_comes_back(
    installation: Installation, domain: Domain
) -> None:
    uuid = await domain.add("sleeper", SLEEPER.format(1500), deadline_ms=30_000)
    await installation.start()
    command = JuvulnCommand(installation.folder, installation.daemons[0].environ)
    call = asyncio.create_task(installation.webhook(uuid))
    await _until_at_a_worker(installation)
    (worker,) = await installation.workers()
    drained = await command("worker", "drain", worker["address"], "--wait")
    assert drained.status == 0, drained.err
    assert drained.text.splitlines() == [
        f"worker {worker['address']}: drained; it has 1 run to end",
        f"worker {worker['address']}: has no run left",
    ]
    assert (await call).body == b"slept well"
    listed = await command("worker", "list")
    assert ("drained" in listed.text, worker["uuid"] in listed.text) == (True, True)
    assert "s3cret" not in listed.text
    refused = asyncio.create_task(installation.webhook(uuid))
    undrained = await command("worker", "undrain", worker["uuid"][:8])
    assert undrained.text == f"worker {worker['address']}: ready\n"
    assert (await refused).body == b"slept well", "it waited for a worker"
    unknown = await command("worker", "drain", "elsewhere:1")
    assert (unknown.status, worker["address"] in unknown.err) == (4, True)


async def test_workers_that_are_restarted_one_after_the_other_under_load_lose_no_run(
    installation: Installation, domain: Domain
) -> None:
    webhook = await domain.add("sleeper", SLEEPER.format(50))
    routines = [await domain.add(f"nap {number}", NAP, kind="routine", schedule="* * * * * *") for number in range(5)]
    _, *workers = await installation.start(workers=2)
    await _until_subscribed(installation, 2)
    replies: list[Reply] = []
    over = asyncio.Event()

    async def call_again_and_again() -> None:
        while not over.is_set():
            replies.append(await installation.webhook(webhook))

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(call_again_and_again())
        for worker in workers:
            seen = len(replies)
            await until(_more(replies, seen + 20), "calls are answered")
            assert await worker.stop() == 0
            await until(_more(replies, len(replies) + 20), "calls are answered meanwhile")
            await worker.start()
            await _until_subscribed(installation, 2)
        over.set()
    assert {(reply.status, reply.body) for reply in replies} == {(200, b"slept well")}
    for uuid in routines:
        runs = await installation.until_runs(uuid, 3)
        # A fresh worker on a busy machine may take longer than the second until the next due time.
        others = [run for run in runs if not (run["reason"] or "").startswith("still running")]
        assert {run["outcome"] for run in others} == {"succeeded"}, others


def _more(replies: list[Reply], than: int) -> Callable[[], Awaitable[bool]]:
    async def more() -> bool:
        return len(replies) > than

    return more


async def _until_subscribed(installation: Installation, count: int) -> None:
    async def subscribed() -> bool:
        return len(await installation.workers()) == count

    await until(subscribed, f"{count} workers are subscribed")


async def _until_at_a_worker(installation: Installation) -> None:
    async def at_a_worker() -> bool:
        (worker,) = await installation.workers()
        return bool(worker["runs"])

    await until(at_a_worker, "a run is with the worker")

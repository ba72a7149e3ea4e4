"""Routines, through both daemons."""

from datetime import datetime, timedelta
from itertools import pairwise

from tests.support.installation import Domain, Installation
from tests.support.standing import Guest
from tests.support.waiting import until

BEAT = 'log := import("log")\nlog.info("beat %d", 42)\n'
EVERY_SECOND = "* * * * * *"


async def test_a_routine_runs_at_its_times_and_each_is_on_record_once(guest: Guest, domain: Domain) -> None:
    uuid = await domain.add("beat", BEAT, kind="routine", schedule=EVERY_SECOND)
    _, worker = await guest.start()
    runs = await guest.until_runs(uuid, 3)
    due = [datetime.fromisoformat(run["due"]) for run in runs]
    assert {later - earlier for earlier, later in pairwise(due)} == {timedelta(seconds=1)}
    for run in runs:
        assert run["outcome"] == "succeeded", run
        assert run["worker"] == f"127.0.0.1:{worker.port}"
        assert run["duration_ms"] > 0
        assert [line["message"] for line in run["log"]] == ["beat 42"]
        assert datetime.fromisoformat(run["started"]) - datetime.fromisoformat(run["due"]) < timedelta(seconds=1)


async def test_a_run_that_is_still_under_way_makes_the_next_due_times_skipped(guest: Guest, domain: Domain) -> None:
    code = 'times := import("times")\ntimes.sleep(2500 * times.millisecond)\n'
    uuid = await domain.add("slow", code, kind="routine", schedule=EVERY_SECOND)
    await guest.start()
    runs = await guest.until_runs(uuid, 4)
    outcomes = [run["outcome"] for run in runs]
    assert "succeeded" in outcomes
    skipped = [run for run in runs if run["outcome"] == "skipped"]
    assert len(skipped) >= 2
    assert all("still running" in run["reason"] for run in skipped)
    assert len({run["due"] for run in runs}) == len(runs)


async def test_a_loop_is_ended_at_its_deadline_and_its_neighbours_go_on(guest: Guest, domain: Domain) -> None:
    other = await guest.add_domain("other")
    loop = await domain.add("loop", "for { }", kind="routine", schedule=EVERY_SECOND, deadline_ms=700)
    same_domain = await domain.add("beat", BEAT, kind="routine", schedule=EVERY_SECOND)
    other_domain = await other.add("beat", BEAT, kind="routine", schedule=EVERY_SECOND)
    await guest.start()
    (first, *_) = await guest.until_runs(loop, 2)
    assert first["outcome"] == "timed_out"
    assert first["error"]["kind"] == "deadline"
    assert "700 ms" in first["error"]["message"]
    assert 690 <= first["duration_ms"] < 1500
    for uuid, name in ((same_domain, domain.name), (other_domain, other.name)):
        runs = await guest.until_runs(uuid, 2, domain=name)
        assert {run["outcome"] for run in runs} == {"succeeded"}, runs


async def test_a_routine_without_a_worker_is_skipped_and_says_so(installation: Installation, domain: Domain) -> None:
    uuid = await domain.add("beat", BEAT, kind="routine", schedule=EVERY_SECOND)
    await installation.manager(DISPATCH__WAIT_FOR_WORKER_SECONDS="0").start()
    (first, *_) = await installation.until_runs(uuid, 2)
    assert first["outcome"] == "skipped"
    assert first["reason"] == "no worker that runs tengo is subscribed"
    ready = await installation.call("GET", "/readyz", token=None)
    assert ready.status == 503
    assert ready.json()["problems"]["workers"] == "no worker is subscribed"


async def test_a_routine_whose_schedule_cannot_be_read_holds_up_no_other(
    installation: Installation, domain: Domain
) -> None:
    await domain.add("bad", BEAT, kind="routine", schedule="61 * * * * *")
    good = await domain.add("good", BEAT, kind="routine", schedule=EVERY_SECOND)
    manager, _ = await installation.start()
    await installation.until_runs(good, 1)
    (event, *_) = manager.events("schedule_unusable")
    assert event["name"] == "bad"
    assert event["reason"] == "second: 61 is not within 0 to 59"


async def test_a_routine_that_fails_is_recorded_with_the_place_in_its_source(guest: Guest, domain: Domain) -> None:
    await guest.start()  # first, as what is due before there is a worker is skipped
    uuid = await domain.add("broken", 'log := import("log")\n\nx := 1 / 0\n', kind="routine", schedule=EVERY_SECOND)
    (run, *_) = await guest.until_runs(uuid, 1)
    assert run["outcome"] == "failed"
    assert run["error"]["kind"] == "runtime"
    assert run["error"]["stack"][0].startswith("broken:3:"), run["error"]


async def test_a_program_that_does_not_compile_is_recorded_with_the_place(guest: Guest, domain: Domain) -> None:
    await guest.start()  # first, as what is due before there is a worker is skipped
    uuid = await domain.add("typo", "a := 1\nb := c\n", kind="routine", schedule=EVERY_SECOND)
    (run, *_) = await guest.until_runs(uuid, 1)
    assert run["outcome"] == "failed"
    assert run["error"]["kind"] == "compile"
    assert "unresolved reference 'c'" in run["error"]["message"]
    assert run["error"]["stack"] == ["typo:2:6"]


async def test_a_deactivated_and_a_deleted_program_stop(installation: Installation, domain: Domain) -> None:
    deactivated = await domain.add("one", BEAT, kind="routine", schedule=EVERY_SECOND)
    deleted = await domain.add("two", BEAT, kind="routine", schedule=EVERY_SECOND)
    witness = await domain.add("witness", BEAT, kind="routine", schedule=EVERY_SECOND)
    manager, _ = await installation.start()
    await installation.until_runs(deactivated, 1)
    await installation.until_runs(deleted, 1)
    await domain.store.update_program(deactivated, {"state": "inactive"})
    await domain.store.delete_program(deleted)

    async def both_gone() -> bool:
        return sum(int(event["removed"]) for event in manager.events("domain_read")) == 2

    await until(both_gone, "the manager has noticed both")
    counts = [len(await installation.runs(uuid)) for uuid in (deactivated, deleted)]
    before = len(await installation.runs(witness))
    await installation.until_runs(witness, before + 3)
    after = [len(await installation.runs(uuid)) for uuid in (deactivated, deleted)]
    # A run that was under way when the program went away may have ended since.
    assert all(later - earlier <= 1 for earlier, later in zip(counts, after, strict=True))

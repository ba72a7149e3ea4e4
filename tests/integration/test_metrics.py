"""What both daemons tell Prometheus, held against what happened."""

from collections import Counter

from tests.support.installation import Domain, Installation
from tests.support.metrics import Sample, samples, total
from tests.support.waiting import until

HOOK = 'cgi := import("cgi")\ncgi.response.write("here")\n'


async def test_due_times_and_runs_count_as_they_are_on_record(installation: Installation, domain: Domain) -> None:
    beat = await domain.add("beat", "x := 1", kind="routine", schedule="* * * * * *")
    bad = await domain.add("bad", "x := 1 / 0", kind="routine", schedule="* * * * * *")
    hook = await domain.add("hook", HOOK)
    _, worker = await installation.start()
    await installation.until_runs(bad, 2)
    for _ in range(3):
        assert (await installation.webhook(hook)).status == 200
    for uuid in (beat, bad):
        assert (await installation.call("PUT", f"/v2/programs/{uuid}", json={"state": "inactive"})).status == 204

    async def quiet() -> list[Sample] | None:
        found = list(await samples(installation))
        open_runs = total(found, "juvuln_runs_waiting") + total(found, "juvuln_runs_under_way")
        waiting = total(found, "juvuln_record_waiting")
        return found if not open_runs and not waiting and not total(found, "juvuln_routines") else None

    found = await until(quiet, "everything has ended and is written")
    runs = [run for uuid in (beat, bad, hook) for run in await installation.runs(uuid)]
    for (trigger, outcome), count in Counter((run["trigger"], run["outcome"]) for run in runs).items():
        assert total(found, "juvuln_runs_total", trigger=trigger, outcome=outcome) == count
    assert total(found, "juvuln_runs_total") == len(runs)
    assert total(found, "juvuln_domain_runs_total", domain="test") == len(runs)
    failed = sum(run["outcome"] == "failed" for run in runs)
    assert total(found, "juvuln_domain_runs_total", result="failed") == failed > 0
    assert total(found, "juvuln_due_times_total") == sum(run["due"] is not None for run in runs)
    started = [run for run in runs if run["started"] is not None]
    assert total(found, "juvuln_runs_started_total") == len(started)
    assert total(found, "juvuln_run_duration_seconds_count") == len(started)
    assert total(found, "juvuln_run_lag_seconds_count") == sum(run["due"] is not None for run in started)
    # Routines with their claim and with their ending; a call that has ended by then comes into the database once.
    routines = [run for run in started if run["due"] is not None]
    assert len(runs) + len(routines) <= total(found, "juvuln_record_batch_rows_sum") <= 2 * len(runs)
    assert total(found, "juvuln_record_ok") == 1
    assert total(found, "juvuln_webhook_seconds_count") == 3
    assert total(found, "juvuln_http_answers_total", call="webhooks", status="2xx") == 3
    assert total(found, "juvuln_workers", state="ready") == 1
    assert total(await samples(installation, worker.url), "malgomaj_tasks_total") == len(started)


async def test_answers_count_by_what_was_called_and_refused(managed: Installation) -> None:
    installation = managed
    for path, token in (("/v2/programs", "root"), ("/v2/programs", "wrong"), ("/v2/nothing", None), ("/v2/runs", None)):
        await installation.call("GET", path, token=token)
    found = await samples(installation)
    told = {
        (sample.labels["call"], sample.labels["status"]): sample.value
        for sample in found
        if sample.name == "juvuln_http_answers_total" and sample.value
    }
    assert told.pop(("status", "2xx")) >= 1
    assert told == {
        ("programs", "2xx"): 1,
        ("programs", "4xx"): 1,
        ("unknown", "4xx"): 1,
        ("runs", "4xx"): 1,
    }
    assert total(found, "juvuln_http_connections") >= 1


async def test_what_an_earlier_life_left_open_and_what_was_missed_is_told_after_a_restart(
    installation: Installation, domain: Domain
) -> None:
    sleeper = 'times := import("times")\ntimes.sleep(20 * times.second)\n'
    uuid = await domain.add("sleeper", sleeper, kind="routine", schedule="* * * * * *", deadline_ms=30_000)
    manager, _ = await installation.start()

    async def under_way() -> bool:
        return total(await samples(installation), "juvuln_runs_under_way") == 1

    await until(under_way, "a run is under way")
    await manager.kill()
    await manager.start()
    found = await samples(installation)
    assert total(found, "juvuln_runs_left_open") == 1
    lost = [run for run in await installation.runs(uuid) if run["outcome"] == "lost"]
    assert len(lost) == 1

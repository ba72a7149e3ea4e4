"""What an operator decides about due times, through both daemons."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from itertools import pairwise

import pytest

from tests.support.http_server import Answer, serving
from tests.support.installation import Domain, Installation, Json
from tests.support.standing import Guest
from tests.support.waiting import until

EVERY_SECOND = "* * * * * *"
BEAT = "x := 1"
SLOW = """
times := import("times")
times.sleep(2500 * times.millisecond)
"""


class Heard:
    """A server that notes which paths were asked for, and fails a path the first time."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.url = ""

    def answer(self, request: BaseHTTPRequestHandler) -> Answer:
        self.paths.append(request.path)
        return (500 if self.paths.count(request.path) == 1 else 200), {}, b""


@pytest.fixture
def heard() -> Iterator[Heard]:
    listening = Heard()
    with serving(listening.answer) as listening.url:
        yield listening


async def until_ended(
    installation: Installation, uuid: object, outcome: str, count: int = 1, limit_seconds: float = 60
) -> list[Json]:
    """The first runs that ended so, oldest first."""

    async def enough() -> list[Json] | None:
        reply = await installation.call("GET", f"/v2/programs/{uuid}/runs?limit=500&outcome={outcome}")
        found: list[Json] = list(reversed(reply.json()))
        return found if len(found) >= count else None

    return await until(enough, f"{count} runs ended as {outcome}", limit_seconds)


async def test_queue_runs_the_latest_due_time_after_the_run_that_was_under_way(guest: Guest, domain: Domain) -> None:
    uuid = await domain.add("slow", SLOW, kind="routine", schedule=EVERY_SECOND, tags=["overlap:queue"])
    await guest.start()
    first, second, *_ = await until_ended(guest, uuid, "succeeded", 2)
    (skipped, *_) = await until_ended(guest, uuid, "skipped")
    assert "still waiting for its turn" in skipped["reason"]
    assert datetime.fromisoformat(second["started"]) >= datetime.fromisoformat(first["ended"])


async def test_replace_ends_the_older_run_at_its_worker_too(guest: Guest, domain: Domain, heard: Heard) -> None:
    code = f'http := import("http")\n{SLOW}http.get("{heard.url}/after-its-sleep")\n'
    uuid = await domain.add("slow", code, kind="routine", schedule=EVERY_SECOND, tags=["overlap:replace"])
    await guest.start()
    cancelled = await until_ended(guest, uuid, "cancelled", 5)
    assert all("replaced by run " in run["reason"] for run in cancelled)
    for earlier, later in pairwise(run for run in cancelled if run["started"]):
        assert datetime.fromisoformat(later["started"]) >= datetime.fromisoformat(earlier["ended"])
    assert heard.paths == []


async def test_allow_runs_beside_one_another(guest: Guest, domain: Domain) -> None:
    uuid = await domain.add("slow", SLOW, kind="routine", schedule=EVERY_SECOND, tags=["overlap:allow"])
    await guest.start()
    first, second, *_ = await until_ended(guest, uuid, "succeeded", 2)
    assert second["started"] < first["ended"]


async def test_a_run_is_repeated_as_its_tags_say_and_its_record_tells_of_it(
    guest: Guest, domain: Domain, heard: Heard
) -> None:
    code = f'answer := import("http").get("{heard.url}/try")\nif answer.StatusCode != 200 {{ x := 1 / 0 }}\n'
    tags = ["retry:2", "retry-on:failed", "retry-backoff:10ms"]
    uuid = await domain.add("shaky", code, kind="routine", schedule=EVERY_SECOND, tags=tags)
    await guest.start()
    (first, *_) = await until_ended(guest, uuid, "succeeded")
    assert first["attempts"] == 2
    assert first["reason"].startswith("attempt 2 of 3; attempt 1: failed: ")
    assert len(heard.paths) >= 2


@pytest.mark.parametrize("policy", ["missed:once", "missed:all"])
async def test_what_was_due_while_the_manager_was_away_is_made_up_for(
    installation: Installation, domain: Domain, policy: str
) -> None:
    uuid = await domain.add("beat", BEAT, kind="routine", schedule="*/2 * * * * *", tags=[policy, "start-deadline:1s"])
    manager, _ = await installation.start()
    await until_ended(installation, uuid, "succeeded")
    await manager.stop()
    stopped = datetime.now(UTC)
    await asyncio.sleep(7)  # the time that passes is what this test is about
    await manager.start()

    async def made_up() -> list[Json] | None:
        runs = [run for run in await installation.runs(uuid) if datetime.fromisoformat(run["claimed"]) > stopped]
        return runs if sum(run["outcome"] == "succeeded" for run in runs) >= 4 else None

    runs = await until(made_up, "the routine ran again", limit_seconds=60)
    # Later than start-deadline lets a run begin that is not made up for, with something for the time of its claim. The
    # last of the three was due a second before the end of the seven, and the manager takes a moment to start.
    late = [run for run in runs if _late_seconds(run) > 1.2 and run["outcome"] == "succeeded"]
    if policy == "missed:all":
        assert [run["outcome"] for run in runs].count("missed") == 0
        assert len(late) >= 3
        in_turn = sorted(late, key=lambda run: str(run["started"]))
        assert [run["due"] for run in in_turn] == sorted(run["due"] for run in late)
    else:
        gaps = [run for run in runs if run["outcome"] == "missed"]
        assert len(gaps) == 1
        assert gaps[0]["first_due"] < gaps[0]["due"]


def _late_seconds(run: Json) -> float:
    return (datetime.fromisoformat(run["claimed"]) - datetime.fromisoformat(run["due"])).total_seconds()


async def test_a_paused_routine_leaves_one_record_when_it_goes_on(guest: Guest, domain: Domain) -> None:
    uuid = await domain.add("beat", BEAT, kind="routine", schedule=EVERY_SECOND)
    witness = await domain.add("witness", BEAT, kind="routine", schedule=EVERY_SECOND)
    await guest.start()
    await until_ended(guest, uuid, "succeeded")
    assert (await guest.call("PUT", f"/v2/programs/{uuid}", json={"tags": ["pause"]})).status == 204
    paused_at = len(await guest.runs(witness))
    await guest.until_runs(witness, paused_at + 5)
    assert (await guest.call("PUT", f"/v2/programs/{uuid}", json={"tags": []})).status == 204
    (skipped, *others) = await _paused(guest, uuid)
    assert others == []
    assert skipped["reason"].startswith("paused by the program's tag: ")
    due = datetime.fromisoformat(skipped["due"]) - datetime.fromisoformat(skipped["first_due"])
    assert due.total_seconds() >= 2
    runs = await guest.until_runs(uuid, len(await guest.runs(uuid)) + 1)
    # It may have been claimed ahead in the same moment.
    assert max(datetime.fromisoformat(run["due"]) for run in runs) > datetime.fromisoformat(skipped["due"])


async def _paused(installation: Installation, uuid: object) -> list[Json]:
    async def found() -> list[Json] | None:
        reply = await installation.call("GET", f"/v2/programs/{uuid}/runs?limit=500&outcome=skipped")
        runs = [run for run in reply.json() if "paused" in run["reason"]]
        return runs or None

    return await until(found, "the pause is on record", limit_seconds=60)


async def test_a_paused_domain_runs_nothing_and_refuses_calls(installation: Installation, domain: Domain) -> None:
    other = await installation.add_domain("other")
    routine = await domain.add("beat", BEAT, kind="routine", schedule=EVERY_SECOND)
    webhook = await domain.add("hook", BEAT)
    witness = await other.add("witness", BEAT, kind="routine", schedule=EVERY_SECOND)
    await installation.manager(SCHEDULE__PAUSED_DOMAINS='["test"]').start()
    await installation.worker().start()
    await installation.until_ready()
    await installation.until_runs(witness, 3, domain="other")
    assert await installation.runs(routine) == []
    for path in (f"/v2/programs/{webhook}/webhook", f"/v2/programs/{webhook}/run", f"/v1/webhooks/test/{webhook}"):
        refused = await installation.call("POST", path)
        assert refused.status == 503
        assert "paused" in refused.json()["message"]


async def test_a_program_that_fails_too_often_is_set_to_failed_and_its_last_record_says_so(
    guest: Guest, domain: Domain
) -> None:
    uuid = await domain.add("broken", "x := 1 / 0", kind="routine", schedule=EVERY_SECOND, tags=["failures:2"])
    await guest.start()

    async def given_up() -> bool:
        return (await domain.store.specification(uuid)).state == "failed"

    await until(given_up, "the program is given up", limit_seconds=60)
    failed = await until_ended(guest, uuid, "failed", 2)
    assert len(failed) == 2
    assert "so the program's state was set to failed" in failed[-1]["reason"]


async def test_a_tag_that_means_nothing_is_refused_by_the_api_and_told_in_the_log(
    installation: Installation, domain: Domain
) -> None:
    uuid = await domain.add("beat", BEAT, kind="routine", schedule=EVERY_SECOND, tags=["overlap:never", "mine:too"])
    manager, _ = await installation.start()
    await until_ended(installation, uuid, "succeeded")
    (event,) = manager.events("tags_unusable")
    assert event["name"] == "beat"
    assert "overlap:never" in event["faults"][0]
    refused = await installation.call("PUT", f"/v2/programs/{uuid}", json={"tags": ["retry:often"]})
    assert refused.status == 400
    assert "tags: tag 'retry:often'" in refused.json()["message"]
    assert (await installation.call("PUT", f"/v2/programs/{uuid}", json={"tags": ["retry:1", "a:b"]})).status == 204


async def test_a_run_that_waited_too_long_for_a_free_place_is_missed(
    installation: Installation, domain: Domain
) -> None:
    await domain.add("hog", SLOW.replace("2500", "4500"), kind="routine", schedule=EVERY_SECOND)
    tags = ["start-deadline:1s"]
    uuids = [
        await domain.add(f"beat-{number}", SLOW, kind="routine", schedule=EVERY_SECOND, tags=tags)
        for number in range(2)
    ]
    await installation.manager(DISPATCH__PARALLEL="1").start()
    await installation.worker().start()
    await installation.until_ready()

    async def missed() -> Json | None:
        for uuid in uuids:
            runs = [run for run in await installation.runs(uuid) if "waited for a free" in (run["reason"] or "")]
            if runs:
                return runs[0]
        return None

    assert (await until(missed, "one came too late", limit_seconds=60))["outcome"] == "missed"

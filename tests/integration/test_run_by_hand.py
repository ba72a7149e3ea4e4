"""Programs that are run by hand, and the record of it."""

import asyncio
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, update

from juvuln.database import transaction
from juvuln.domains.tables import group_policies
from tests.support.installation import Domain, Installation, Json, Reply
from tests.support.people import add_user
from tests.support.standing import Guest
from tests.support.waiting import until

ECHO = """
cgi := import("cgi")
log := import("log")
log.info("called with %s", cgi.request.headers()["X-Colour"])
cgi.response.status(201)
cgi.response.write(cgi.request.body())
"""
LOGGING = 'log := import("log")\nlog.info("hello")\n'
SLOW = 'log := import("log")\nlog.info("before")\nimport("times").sleep(700000000)\nlog.info("after")\n'


async def run(installation: Installation, uuid: UUID | str, query: str = "", **options: object) -> Reply:
    return await installation.call("POST", f"/v2/programs/{uuid}/run{query}", **options)  # type: ignore[arg-type]


async def recorded(installation: Installation, uuid: UUID, run_id: str) -> Json:
    reply = await installation.call("GET", f"/v2/programs/{uuid}/runs/{run_id}")
    assert reply.status == 200, reply.body
    answered: Json = reply.json()
    return answered


async def until_ended(installation: Installation, uuid: UUID, run_id: str) -> Json:
    async def ended() -> Json | None:
        found = await recorded(installation, uuid, run_id)
        return found if found["outcome"] is not None else None

    return await until(ended, "the run ends on record")


async def test_a_webhook_gets_headers_and_body_and_its_run_is_the_answer(guest: Guest, domain: Domain) -> None:
    uuid = await domain.add("echo", ECHO)
    await guest.start()
    reply = await run(guest, uuid, data=b"12345", headers={"X-Colour": "blue"})
    assert reply.status == 200, reply.body
    answered = reply.json()
    assert (answered["trigger"], answered["outcome"], answered["revision"]) == ("manual", "succeeded", 0)
    assert (answered["request_bytes"], answered["answer_bytes"], answered["answer_status"]) == (5, 5, 201)
    assert [line["message"] for line in answered["log"]] == ["called with blue"]
    assert answered["attempts"] == 1
    assert answered["claimed"] <= answered["started"] <= answered["ended"]
    assert await until_ended(guest, uuid, answered["id"]) == answered
    assert len(await guest.until_runs(uuid, 1)) == 1


async def test_a_routine_runs_beside_its_schedule_and_takes_no_body(guest: Guest, domain: Domain) -> None:
    uuid = await domain.add("beat", LOGGING, kind="routine", schedule="@yearly")
    await guest.start()
    reply = await run(guest, uuid)
    assert (reply.status, reply.json()["outcome"], reply.json()["due"]) == (200, "succeeded", None)
    assert [line["message"] for line in reply.json()["log"]] == ["hello"]
    assert (await run(guest, uuid, data=b"x")).status == 400
    assert (await run(guest, uuid, "?async=maybe")).status == 400
    assert len(await guest.until_runs(uuid, 1)) == 1


async def test_whatever_its_outcome_a_run_that_ended_is_answered_200(guest: Guest, domain: Domain) -> None:
    uuid = await domain.add("bad", "x := 1\ny := x / 0\n", kind="routine", schedule="@yearly")
    await guest.start()
    reply = await run(guest, uuid)
    assert (reply.status, reply.json()["outcome"]) == (200, "failed")
    assert reply.json()["error"]["stack"] == ["bad:2:6"]


async def test_in_the_background_it_is_on_record_when_it_is_answered_and_goes_on(guest: Guest, domain: Domain) -> None:
    uuid = await domain.add("slow", SLOW, kind="routine", schedule="@yearly")
    await guest.start()
    reply = await run(guest, uuid, "?async=true")
    assert reply.status == 202
    answered = reply.json()
    assert reply.headers["Location"] == f"/v2/programs/{uuid}/runs/{answered['id']}"
    assert (answered["outcome"], answered["trigger"]) == (None, "manual")
    now = (await guest.call("GET", reply.headers["Location"])).json()
    assert now["id"] == answered["id"]
    ended = await until_ended(guest, uuid, answered["id"])
    assert (ended["outcome"], len(ended["log"])) == ("succeeded", 2)


async def test_the_newest_signed_code_is_run_whoever_signed_it(installation: Installation, domain: Domain) -> None:
    installation.refresh_seconds = 60
    uuid = await domain.add("beat", LOGGING, kind="routine", schedule="@yearly")
    await installation.start()
    await domain.revise(uuid, LOGGING.replace("hello", "newer"))
    await domain.revise(uuid, LOGGING.replace("hello", "unsigned"), signed=False)
    answered = (await run(installation, uuid)).json()
    assert (answered["revision"], answered["log"][0]["message"]) == (1, "newer")


async def test_what_cannot_be_run_says_why(guest: Guest, domain: Domain) -> None:
    module = await domain.add("mod", "export 1", kind="module")
    asleep = await domain.add("asleep", LOGGING, state="inactive")
    unsigned = await domain.add("unsigned", LOGGING, signed=False)
    await guest.start()
    for uuid, status, word in (
        (module, 409, "module"),
        (asleep, 409, "inactive"),
        (unsigned, 409, "no signed code"),
        (uuid4(), 404, "no program"),
        ("not-a-uuid", 404, "no program"),
    ):
        for query in ("", "?async=true"):
            reply = await run(guest, uuid, query)
            assert (reply.status, reply.json()["code"]) == (status, status)
            assert word in reply.json()["message"]
    assert (await run(guest, unsigned, token="wrong")).status == 401


async def test_it_needs_the_right_to_run(guest: Guest, domain: Domain) -> None:
    uuid = await domain.add("beat", LOGGING, kind="routine", schedule="@yearly")
    async with transaction(domain.store._engine, "domain") as connection:
        await connection.execute(delete(group_policies).where(group_policies.c.action == "create"))
    await guest.start()
    assert (await run(guest, uuid)).status == 403


async def test_whoever_may_start_a_program_but_not_read_it_learns_nothing_of_its_log_and_error(
    guest: Guest, domain: Domain
) -> None:
    uuid = await domain.add("bad", 'import("log").info("secret")\nx := undefined\nx()\n')
    await add_user(domain, "ada", [("allow", "create", "programs/%"), ("allow", "read", f"programs/{uuid}/%")])
    await guest.start()
    for token, told in (("ada", False), ("root", True)):
        answered = (await run(guest, uuid, token=token)).json()
        assert answered["outcome"] == "failed"
        assert (answered["error"] is not None, answered["log"] != []) == (told, told)
        called = await guest.call("POST", f"/v2/programs/{uuid}/webhook", token=token)
        assert called.status == 500
        assert ("not callable" in called.json()["message"]) is told
    assert (await guest.call("GET", f"/v2/programs/{uuid}/runs", token="ada")).status == 403


async def test_without_a_worker_the_run_is_skipped_and_says_so(installation: Installation, domain: Domain) -> None:
    uuid = await domain.add("beat", LOGGING, kind="routine", schedule="@yearly")
    await installation.manager(DISPATCH__WAIT_FOR_WORKER_SECONDS="0.1").start()
    answered = (await run(installation, uuid)).json()
    assert (answered["outcome"], answered["reason"]) == ("skipped", "no worker that runs tengo is subscribed")


async def test_runs_in_the_background_count_among_the_calls_and_are_waited_for_at_the_end(
    installation: Installation, domain: Domain
) -> None:
    uuid = await domain.add("slow", SLOW, kind="routine", schedule="@yearly")
    manager = installation.manager(LIMITS__CALLS="2")
    for daemon in (manager, installation.worker()):
        await daemon.start()
    await installation.until_ready()
    replies = await asyncio.gather(*(run(installation, uuid, "?async=true") for _ in range(3)))
    assert sorted(reply.status for reply in replies) == [202, 202, 429]
    assert await manager.stop() == 0
    await installation.manager().start()
    ended = await installation.runs(uuid)
    assert [each["outcome"] for each in ended] == ["succeeded", "succeeded"]


async def test_a_domain_with_many_calls_under_way_leaves_some_to_the_others(
    installation: Installation, domain: Domain
) -> None:
    other = await installation.add_domain("other")
    slow = await domain.add("slow", SLOW, kind="routine", schedule="@yearly")
    quick = await other.add("quick", LOGGING, kind="routine", schedule="@yearly")
    # Without a worker the runs wait, and stay under way.
    await installation.manager(LIMITS__CALLS="20", DISPATCH__WAIT_FOR_WORKER_SECONDS="5").start()
    replies = await asyncio.gather(*(run(installation, slow, "?async=true") for _ in range(20)))
    refused = [reply.json()["message"] for reply in replies if reply.status == 429]
    assert refused == ["domain test has its share of calls under way; try again in a moment"] * 2
    assert (await run(installation, quick, "?async=true", domain="other")).status == 202


async def test_pages_of_runs_follow_one_another_and_keep_to_the_outcomes(guest: Guest, domain: Domain) -> None:
    good = await domain.add("good", LOGGING, kind="routine", schedule="@yearly")
    bad = await domain.add("bad", "x := 1\ny := x / 0\n", kind="routine", schedule="@yearly")
    await guest.start()
    ids = [(await run(guest, uuid)).json()["id"] for uuid in (good, good, good, bad, good)]
    for path, expected in (
        (f"/v2/programs/{good}/runs?limit=2", [ids[4], ids[2], ids[1], ids[0]]),
        ("/v2/runs?limit=2", ids[::-1]),
        ("/v2/runs?limit=1&outcome=failed&outcome=lost", [ids[3]]),
        ("/v2/runs?limit=3&outcome=succeeded", [ids[4], ids[2], ids[1], ids[0]]),
        (f"/v2/programs/{good}/runs?outcome=running", []),
    ):
        assert await _followed(guest, path, len(expected)) == expected
    assert (await guest.call("GET", "/v2/runs?outcome=good")).status == 400


async def _followed(installation: Installation, path: str, count: int) -> list[str]:
    """The ids of runs on all pages from ``path`` on, when there are that many."""

    async def followed() -> list[str] | None:
        ids: list[str] = []
        following = path
        while following:
            reply = await installation.call("GET", following)
            assert reply.status == 200, reply.body
            ids += [each["id"] for each in reply.json()]
            link = reply.headers.get("Link", "")
            assert not link or link.endswith('>; rel="next"')
            following = link.partition(">")[0].removeprefix("<")
        return ids if len(ids) == count else None

    return await until(followed, f"{path} leads to {count} runs")


async def test_runs_are_listed_only_to_who_may_read_their_programs(guest: Guest, domain: Domain) -> None:
    shown = await domain.add("shown", LOGGING, kind="routine", schedule="@yearly")
    hidden = await domain.add("hidden", LOGGING, kind="routine", schedule="@yearly")
    async with transaction(domain.store._engine, "domain") as connection:
        reading, of_shown = group_policies.c.action == "read", f"programs/{shown}/%"
        await connection.execute(delete(group_policies).where(reading, group_policies.c.resource != of_shown))
        await connection.execute(update(group_policies).where(reading).values(resource=f"programs/{shown}%"))
    await guest.start()
    ids = [(await run(guest, uuid)).json()["id"] for uuid in (shown, hidden, hidden, shown, hidden)]
    assert await _followed(guest, "/v2/runs?limit=1", 2) == [ids[3], ids[0]]
    for path in ("runs", f"runs/{ids[1]}", f"runs/{ids[1]}/log", f"runs/{ids[1]}/log?follow=true"):
        assert (await guest.call("GET", f"/v2/programs/{hidden}/{path}")).status == 403
    assert (await guest.call("GET", f"/v2/programs/{shown}/runs/{ids[1]}")).status == 404


@pytest.mark.parametrize("run_id", ["0", "00000000-0000-7000-8000-000000000000", "%00"])
async def test_a_run_that_is_not_there_is_not_found(guest: Guest, domain: Domain, run_id: str) -> None:
    uuid = await domain.add("beat", LOGGING)
    await guest.start()
    assert (await guest.call("GET", f"/v2/programs/{uuid}/runs/{run_id}")).status == 404

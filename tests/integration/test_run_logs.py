"""The log of a run: while it runs, and afterwards."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import aiohttp
import pytest
from sqlalchemy import delete

from juvuln.database import open_engine, transaction
from juvuln.domains.tables import user_tokens
from shared.auth import BasicCredentials
from tests.support.installation import Domain, Installation, Json
from tests.support.standing import Guest
from tests.support.waiting import until

NDJSON = {"Accept": "application/x-ndjson"}
LOGGING = 'log := import("log")\nlog.info("one\\n\\x1btwo")\nlog.error("three")\n'
# Goes on when its webhook is called back, so that no test has to know how long anything takes.
WAITING = """
log := import("log")
log.info("before")
response := import("http").get("{url}")
log.error("after")
"""


class Gate:
    """A server that answers when it is told to."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.opened = asyncio.Event()
        self.url = ""

    async def answer(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.entered.set()
        await self.opened.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    gate = Gate()
    server = await asyncio.start_server(gate.answer, "127.0.0.1", 0)
    gate.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    yield gate
    gate.opened.set()
    server.close()


async def start(installation: Installation, uuid: UUID) -> str:
    """The id of a run that was started in the background."""
    reply = await installation.call("POST", f"/v2/programs/{uuid}/run?async=true")
    assert reply.status == 202, reply.body
    run_id: str = reply.json()["id"]
    return run_id


@asynccontextmanager
async def following(installation: Installation, uuid: UUID, run_id: str) -> AsyncIterator[AsyncIterator[Json]]:
    """The lines of a run as they come."""
    url = f"http://127.0.0.1:{installation.manager_port}/v2/programs/{uuid}/runs/{run_id}/log?follow=true"
    headers = {**NDJSON, "Authorization": BasicCredentials(installation.own_domain, "root").header()}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        assert (answer.status, answer.content_type) == (200, "application/x-ndjson")
        yield (json.loads(line) async for line in answer.content if line.strip())


async def test_of_a_run_that_has_ended_all_is_there_as_text_and_as_json(guest: Guest, domain: Domain) -> None:
    uuid = await domain.add("beat", LOGGING, kind="routine", schedule="@yearly")
    await guest.start()
    run_id = (await guest.call("POST", f"/v2/programs/{uuid}/run")).json()["id"]
    await guest.until_runs(uuid, 1)
    for query in ("", "?follow=true"):
        path = f"/v2/programs/{uuid}/runs/{run_id}/log{query}"
        text = await guest.call("GET", path)
        assert (text.status, text.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
        at = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
        assert re.fullmatch(f"{at} info one␊␛two\n{at} error three\n", text.body.decode())
        lines = [json.loads(line) for line in (await guest.call("GET", path, headers=NDJSON)).body.splitlines()]
        assert [(line["level"], line["message"]) for line in lines] == [("info", "one\n\x1btwo"), ("error", "three")]
    assert (await guest.call("HEAD", path)).status == 200


async def test_lines_come_while_the_run_is_under_way(guest: Guest, domain: Domain, gate: Gate) -> None:
    uuid = await domain.add(
        "slow", WAITING.format(url=gate.url), kind="routine", schedule="@yearly", deadline_ms=30_000
    )
    await guest.start()
    run_id = await start(guest, uuid)
    async with following(guest, uuid, run_id) as lines:
        assert (await anext(lines))["message"] == "before"
        path = f"/v2/programs/{uuid}/runs/{run_id}"
        assert (await guest.call("GET", path)).json()["outcome"] is None
        assert (await guest.call("GET", f"{path}/log")).body.endswith(b" info before\n")
        gate.opened.set()
        assert (await anext(lines))["level"] == "error"
        assert await anext(lines, None) is None


async def test_several_follow_and_one_who_goes_disturbs_nobody(guest: Guest, domain: Domain, gate: Gate) -> None:
    uuid = await domain.add("slow", WAITING.format(url=gate.url), deadline_ms=30_000)
    await guest.start()
    run_id = await start(guest, uuid)
    async with following(guest, uuid, run_id) as first, following(guest, uuid, run_id) as second:
        async with following(guest, uuid, run_id) as third:
            assert (await anext(third))["message"] == "before"
        gate.opened.set()
        for lines in (first, second):
            assert [line["message"] async for line in lines] == ["before", "after"]


async def test_a_run_that_waits_for_a_worker_is_followed_from_its_first_line(
    installation: Installation, domain: Domain
) -> None:
    uuid = await domain.add("beat", LOGGING, kind="routine", schedule="@yearly")
    await installation.manager(DISPATCH__WAIT_FOR_WORKER_SECONDS="30").start()
    run_id = await start(installation, uuid)
    async with following(installation, uuid, run_id) as lines:
        await installation.worker().start()
        assert [line["message"] async for line in lines] == ["one\n\x1btwo", "three"]


async def test_a_crash_ends_the_log_with_what_came_before(
    installation: Installation, domain: Domain, gate: Gate
) -> None:
    uuid = await domain.add("slow", WAITING.format(url=gate.url), deadline_ms=30_000)
    _, worker = await installation.start()
    run_id = await start(installation, uuid)
    async with following(installation, uuid, run_id) as lines:
        assert (await anext(lines))["message"] == "before"
        await worker.kill()
        assert await anext(lines, None) is None
    (run,) = await installation.until_runs(uuid, 1)
    assert run["outcome"] == "lost"


async def test_the_manager_ends_in_order_while_somebody_follows(
    installation: Installation, domain: Domain, gate: Gate
) -> None:
    uuid = await domain.add("slow", WAITING.format(url=gate.url), deadline_ms=30_000)
    manager, _ = await installation.start()
    run_id = await start(installation, uuid)
    async with following(installation, uuid, run_id) as lines:
        assert (await anext(lines))["message"] == "before"
        stopping = asyncio.create_task(manager.stop())
        gate.opened.set()
        assert (await anext(lines))["message"] == "after"
        assert await anext(lines, None) is None
        assert await stopping == 0


async def test_a_token_that_is_revoked_reads_no_further(installation: Installation, domain: Domain, gate: Gate) -> None:
    manager = installation.manager(ACCESS__CACHE_SECONDS="0.2")
    for daemon in (manager, installation.worker()):
        await daemon.start()
    await installation.until_ready()
    uuid = await domain.add("slow", WAITING.format(url=gate.url), deadline_ms=20_000)
    run_id = await start(installation, uuid)
    async with following(installation, uuid, run_id) as lines:
        assert (await anext(lines))["message"] == "before"
        engine = open_engine(domain.url)
        async with transaction(engine, "domain") as connection:
            await connection.execute(delete(user_tokens))
        await engine.dispose()

        async def revoked() -> bool:
            return (await installation.call("GET", "/v2/programs")).status == 401

        await until(revoked, "the token is revoked")
        gate.opened.set()
        with pytest.raises(aiohttp.ClientPayloadError):
            await anext(lines)
    assert "revoked" in manager.events("stream_broken_off")[0]["reason"]


async def test_what_is_not_there_or_not_meant_is_refused(guest: Guest, domain: Domain) -> None:
    uuid = await domain.add("beat", LOGGING)
    await guest.start()
    path = f"/v2/programs/{uuid}/runs"
    assert (await guest.call("GET", f"{path}/{uuid4()}/log")).status == 404
    assert (await guest.call("GET", f"{path}/0/log?follow=true")).status == 404
    assert (await guest.call("GET", f"{path}/{uuid4()}/log?follow=1")).status == 400
    assert (await guest.call("GET", f"{path}/{uuid4()}/log", token=None)).status == 401

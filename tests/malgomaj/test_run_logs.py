"""Following a run's log at the worker."""

import asyncio
import json

from malgomaj.run_logs import RunLog, RunLogs
from shared.wire import LogLine
from tests.malgomaj.worker import RunningWorker
from tests.support.waiting import until

PATH = "/v1/runs/run-1/log"
SOURCE = """
log := import("log")
log.info("before")
import("http").get("{url}")
log.info("after")
"""


def line(message: str) -> LogLine:
    return LogLine(at_ms=1, level="info", message=message)


async def test_a_run_is_followed_from_its_first_line_to_its_end(worker: RunningWorker) -> None:
    opened = asyncio.Event()

    async def wait(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await opened.wait()
        writer.close()

    server = await asyncio.start_server(wait, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    running = asyncio.create_task(worker.report(SOURCE.format(url=url), run_id="run-1"))

    async def known() -> bool:
        return b"before" in (await worker.request("GET", f"{PATH}?follow=false")).body

    await until(known, "the run has logged")
    async with worker.session.get(f"{worker.process.url}{PATH}", headers=worker.headers) as answer:
        assert answer.content_type == "application/x-ndjson"
        assert json.loads(await answer.content.readline())["message"] == "before"
        opened.set()
        assert json.loads(await answer.content.read())["message"] == "after"
    assert [line["message"] for line in (await running)["log"]] == ["before", "after"]
    assert (await worker.request("GET", PATH)).status == 404
    server.close()


async def test_only_the_manager_may_follow_and_only_what_is_under_way(worker: RunningWorker) -> None:
    assert (await worker.request("GET", PATH)).status == 404
    assert (await worker.request("GET", PATH, headers={})).status == 401


async def test_no_line_is_lost_however_the_reader_and_the_run_take_turns() -> None:
    log = RunLog([line("0")])
    followed = log.follow(to_the_end=True)
    received = [await anext(followed)]
    log.add(line("1"))
    log.add(line("2"))
    received += [await anext(followed), await anext(followed)]
    coming = asyncio.ensure_future(anext(followed))
    await asyncio.sleep(0)
    log.add(line("3"))
    log.end()
    received.append(await coming)
    assert [json.loads(each)["message"] for each in received] == ["0", "1", "2", "3"]
    assert await anext(followed, None) is None


def test_the_log_of_a_later_run_of_the_same_id_is_not_taken_away() -> None:
    logs, first, second = RunLogs(), RunLog(), RunLog()
    logs.begin("id", first)
    logs.begin("id", second)
    logs.end("id", first)
    assert logs.find("id") is second
    logs.end("id", second)
    assert logs.find("id") is None
    logs.begin(None, first)
    logs.end(None, first)

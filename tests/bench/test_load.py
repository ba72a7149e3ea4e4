import asyncio

import pytest
from aiohttp import web

from bench.load import Load, LoadError, http_request, run_load

SLOW_SECONDS = 0.3


class Served:
    """Answers at once, but the first call late where that is asked for."""

    def __init__(self, status: int = 200, slow_seconds: float = 0.0) -> None:
        self.calls = 0
        self._status = status
        self._slow_seconds = slow_seconds

    async def answer(self, request: web.Request) -> web.Response:
        assert await request.read() == b"body"
        self.calls += 1
        if self.calls == 1:
            await asyncio.sleep(self._slow_seconds)
        return web.Response(status=self._status, text="done")

    async def __aenter__(self) -> int:
        app = web.Application()
        app.router.add_post("/", self.answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port: int = self._runner.addresses[0][1]
        return port

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


def request(port: int) -> bytes:
    return http_request("POST", "/", port, b"body", "a:b", "text/plain")


async def test_each_request_is_sent_once_where_that_is_asked_for() -> None:
    served = Served()
    async with served as port:
        found = await run_load(Load(port, [request(port)] * 5, callers=2, seconds=30, once=True))
    assert (served.calls, found.answers, found.statuses) == (5, 5, {"200": 5})


async def test_at_a_fixed_rate_a_slow_answer_does_not_hide_the_wait_of_those_behind_it() -> None:
    async with Served(slow_seconds=SLOW_SECONDS) as port:
        load = Load(port, [request(port)] * 20, callers=1, seconds=30, rate=100, once=True)
        found = await run_load(load)
    assert found.answers == 20
    # The tenth was due after 90 ms, and could be sent after 300.
    assert found.p50_ms > (SLOW_SECONDS - 0.15) * 1000
    assert found.max_ms >= SLOW_SECONDS * 1000


async def test_answers_of_another_status_are_no_measurement() -> None:
    async with Served(status=503) as port:
        with pytest.raises(LoadError, match="'503': 1"):
            await run_load(Load(port, [request(port)], callers=1, seconds=30, once=True))


async def test_a_server_that_is_not_there_is_said() -> None:
    with pytest.raises(LoadError, match="connection refused"):
        await run_load(Load(1, [request(1)], callers=1))

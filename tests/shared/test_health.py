"""Readiness, and the calls that tell of it."""

import aiohttp

from shared import project_version
from shared.health import Readiness
from shared.http import listening, make_app
from shared.status_api import StatusApi


def test_a_daemon_is_ready_while_nothing_has_a_problem() -> None:
    readiness = Readiness()
    assert readiness.problems() == {}
    readiness.set("database", "is away")
    readiness.set("database", "refuses us")
    assert readiness.problems() == {"database": "refuses us"}
    readiness.set("database", None)
    readiness.set("never heard of", None)
    assert readiness.problems() == {}


def test_what_is_watched_is_asked_each_time() -> None:
    workers: list[str] = []
    readiness = Readiness()
    readiness.watch("workers", lambda: None if workers else "there is none")
    readiness.set("database", "is away")
    assert list(readiness.problems().items()) == [("database", "is away"), ("workers", "there is none")]
    workers.append("one")
    assert readiness.problems() == {"database": "is away"}


async def test_health_readiness_and_the_document_are_told_to_everybody() -> None:
    readiness = Readiness()
    app = make_app(StatusApi(readiness, "Little", "Does little.").with_status([]), max_body_bytes=1)
    async with (
        listening(app, "127.0.0.1", 0, port_setting="listen.port", drain_seconds=1) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        async with session.get("/healthz") as response:
            assert (response.status, await response.json()) == (200, {"status": "ok", "version": project_version()})
        async with session.get("/readyz") as response:
            assert (response.status, await response.json()) == (200, {"ready": True, "problems": {}})
        readiness.set("database", "is away")
        async with session.get("/readyz") as response:
            assert (response.status, await response.json()) == (
                503,
                {"ready": False, "problems": {"database": "is away"}},
            )
        async with session.get("/openapi3.json") as response:
            document = await response.json()
            assert sorted(document["paths"]) == ["/healthz", "/openapi3.json", "/readyz"]

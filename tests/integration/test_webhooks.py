"""Webhooks, through both daemons."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.daemons import DaemonProcess
from tests.support.installation import Domain, Installation
from tests.support.standing import Guest
from tests.support.waiting import until

GREET = """
cgi := import("cgi")
json := import("json")
person := json.decode(cgi.request.body())
cgi.response.status(201)
cgi.response.headers("X-Shape", "round")
cgi.response.headers("Content-Type", "application/json")
cgi.response.write(json.encode({greeting: "Hello, " + person.name}))
"""


async def test_a_webhook_answers_with_its_own_status_headers_and_body(guest: Guest, domain: Domain) -> None:
    uuid = await domain.add("greet", GREET)
    await guest.start()
    for path in (f"/v2/programs/{uuid}/webhook", f"/v1/webhooks/{domain.name}/{uuid}"):
        reply = await guest.call("POST", path, data=b'{"name": "Ada"}')
        assert reply.status == 201, reply.body
        assert reply.headers["X-Shape"] == "round"
        assert reply.headers["Content-Type"] == "application/json"
        assert reply.json() == {"greeting": "Hello, Ada"}
    runs = await guest.until_runs(uuid, 2)
    assert [run["outcome"] for run in runs] == ["succeeded"] * 2
    assert runs[0]["trigger"] == "webhook"
    assert runs[0]["request_bytes"] == 15
    assert runs[0]["answer_bytes"] == len(b'{"greeting":"Hello, Ada"}')


async def test_bodies_do_not_pile_up_and_calls_run_side_by_side(guest: Guest, domain: Domain) -> None:
    code = """
cgi := import("cgi")
times := import("times")
times.sleep(200 * times.millisecond)
cgi.response.write(cgi.request.body())
"""
    uuid = await domain.add("echo", code)
    await guest.start()
    await guest.webhook(uuid, b"warm")
    started = time.monotonic()
    bodies = [f"call {number}".encode() for number in range(20)]
    replies = await asyncio.gather(*[guest.webhook(uuid, body) for body in bodies])
    assert [reply.body for reply in replies] == bodies
    assert {reply.headers["Content-Type"] for reply in replies} == {"text/plain; charset=utf-8"}
    assert (await guest.webhook(uuid, b"\xff")).headers["Content-Type"] == "application/octet-stream"
    assert time.monotonic() - started < 20 * 0.2  # one after the other they would take that long


@pytest.mark.parametrize("kind", ["loop", "sleep", "http"])
async def test_whatever_a_webhook_is_busy_with_it_is_answered_at_its_deadline_and_its_neighbours_answer(
    guest: Guest, domain: Domain, kind: str
) -> None:
    other = await guest.add_domain("other")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        busy = {
            "loop": "for { }",
            "sleep": 'times := import("times")\ntimes.sleep(times.hour)',
            "http": f'http := import("http")\nhttp.get("http://127.0.0.1:{silent.getsockname()[1]}/")',
        }[kind]
        stuck = await domain.add("stuck", busy, deadline_ms=800)
        neighbour = await other.add("greet", GREET)
        await guest.start()
        call = asyncio.create_task(guest.webhook(stuck))
        answered = 0
        while not call.done():
            reply = await guest.webhook(neighbour, b'{"name": "Ada"}', domain=other.name)
            assert reply.status == 201
            answered += 1
            await asyncio.sleep(0.01)
        reply = await call
    assert reply.status == 500
    assert reply.json()["code"] == 500
    assert reply.json()["message"].startswith("deadline of 800 ms exceeded")
    assert answered >= 5
    (run,) = await guest.until_runs(stuck, 1)
    assert run["outcome"] == "timed_out"
    assert run["duration_ms"] < 800 + 500


async def test_a_crash_of_the_engine_is_reported_and_the_next_call_works(
    installation: Installation, domain: Domain
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        code = f'import("http").get("http://127.0.0.1:{silent.getsockname()[1]}/")'
        crash, greet = await domain.add("crash", code, deadline_ms=30_000), await domain.add("greet", GREET)
        daemons = await installation.start()
        call = asyncio.create_task(installation.webhook(crash))
        connection, _ = await asyncio.get_running_loop().sock_accept(silent)
        with connection:
            kill_children(daemons)
            reply = await call
    assert reply.status == 500
    (run,) = await installation.until_runs(crash, 1)
    assert run["outcome"] == "crashed", run
    assert (await installation.webhook(greet, b'{"name": "Ada"}')).status == 201


def kill_children(daemons: Sequence[DaemonProcess]) -> None:
    for daemon in daemons:
        children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text(encoding="ascii")
        for child in children.split():
            os.kill(int(child), signal.SIGKILL)


async def test_what_cannot_be_called_says_why(guest: Guest, domain: Domain) -> None:
    routine = await domain.add("routine", "x := 1", kind="routine", schedule="@hourly")
    unsigned = await domain.add("unsigned", GREET, signed=False)
    greet = await domain.add("greet", GREET)
    await guest.start()
    expected = {
        (str(uuid4()), "root"): 404,
        ("not-a-uuid", "root"): 404,
        (str(routine), "root"): 404,
        (str(unsigned), "root"): 404,
        (str(greet), "wrong"): 401,
        (str(greet), None): 401,
    }
    for (uuid, token), status in expected.items():
        for path in (f"/v2/programs/{uuid}/webhook", f"/v1/webhooks/{domain.name}/{uuid}"):
            reply = await guest.call("POST", path, token=token)
            assert reply.status == status, (path, token, reply.body)
            assert reply.json()["code"] == status
            assert reply.json()["message"]
            assert ("WWW-Authenticate" in reply.headers) == (status == 401)
    assert (await guest.call("GET", f"/v2/programs/{greet}/webhook")).status == 405
    too_large = await guest.webhook(greet, b"x" * (1024 * 1024 + 1))
    assert too_large.status == 413


async def test_a_token_of_another_domain_does_not_call_a_webhook(guest: Guest, domain: Domain) -> None:
    other = await guest.add_domain("other")
    greet = await domain.add("greet", GREET)
    await guest.start()
    reply = await guest.call("POST", f"/v1/webhooks/{domain.name}/{greet}", domain=other.name)
    assert reply.status == 403
    assert (await guest.webhook(greet, domain=other.name)).status == 404


async def test_a_webhook_without_a_worker_is_answered_502(installation: Installation, domain: Domain) -> None:
    greet = await domain.add("greet", GREET)
    await installation.manager(DISPATCH__WAIT_FOR_WORKER_SECONDS="0.1").start()

    async def read() -> bool:
        return (await installation.webhook(greet)).status == 502

    await until(read, "the call is answered 502")
    reply = await installation.webhook(greet)
    assert reply.json() == {"code": 502, "message": "no worker that runs tengo is subscribed"}


async def test_binary_bodies_and_repeated_headers_pass_unchanged(guest: Guest, domain: Domain) -> None:
    code = """
cgi := import("cgi")
cgi.response.headers("Set-Cookie", "a=1")
cgi.response.headers("Set-Cookie", "b=2")
cgi.response.write(cgi.request.body())
"""
    uuid = await domain.add("echo", code)
    await guest.start()
    body = bytes(range(256)) * 4
    reply = await guest.webhook(uuid, body)
    assert reply.body == body
    assert reply.headers.getall("Set-Cookie") == ["a=1", "b=2"]

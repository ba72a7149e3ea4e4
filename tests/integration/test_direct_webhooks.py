"""Calls of webhooks that come whole and alone take a shorter way through the manager. Nobody can tell by the answer."""

import asyncio
import json
from collections.abc import Sequence
from uuid import uuid4

import pytest
from multidict import CIMultiDict

from shared.auth import BasicCredentials
from tests.support.installation import Domain, Installation
from tests.support.standing import Guest

TELL = """
cgi := import("cgi")
json := import("json")
request := cgi.request
cgi.response.headers("X-Twice", "one")
cgi.response.headers("X-Twice", "two")
cgi.response.write(json.encode({
    method: request.method(),
    path: request.path(),
    query: request.query(),
    remote: request.remote(),
    headers: request.headers(),
    body: string(request.body())
}))
"""
NOTHING = 'cgi := import("cgi")\ncgi.response.status(204)'
FAILS = "x := undefined\nx()"
DIFFERENT = ("Date", "Server")

Said = tuple[int, CIMultiDict[str], bytes]


async def answers(port: int, parts: Sequence[bytes], count: int) -> Sequence[Said]:
    """To what is sent in these parts on one connection; each answer has a length, or nothing to be long."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = []
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.05)
        for _ in range(count):
            async with asyncio.timeout(20):
                status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
                headers: CIMultiDict[str] = CIMultiDict()
                for line in lines:
                    headers.add(*line.split(": ", 1))
                body = await reader.readexactly(int(headers.get("Content-Length", "0")))
            found.append((int(status.split()[1]), headers, body))
    finally:
        writer.close()
        await writer.wait_closed()
    return found


async def both_ways(port: int, head: bytes, body: bytes) -> tuple[Said, Said]:
    """What is said to a request that comes in one piece, and to the same in two."""
    ((_, direct_headers, _),) = direct = await answers(port, [head + body], 1)
    ((_, usual_headers, _),) = usual = await answers(port, [head[:-10], head[-10:] + body], 1)
    assert "Server" not in direct_headers, "it did not take the direct way"
    assert "Server" in usual_headers, "it took the direct way"
    for headers in (direct_headers, usual_headers):
        for name in DIFFERENT:
            headers.pop(name, None)
        if headers.get("Content-Length", "0") == "0":
            headers.pop("Content-Type", None)  # aiohttp gives one to nothing too
    return direct[0], usual[0]


def request(path: str, body: bytes, *headers: str) -> tuple[bytes, bytes]:
    lines = [f"POST {path} HTTP/1.1", "Host: here", *headers, f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n", body


def by(domain: str, token: str) -> str:
    return f"Authorization: {BasicCredentials(domain, token).header()}"


async def test_a_program_is_told_and_answers_the_same_on_either_way(guest: Guest, domain: Domain) -> None:
    tell, nothing, fails = [
        await domain.add(name, code) for name, code in (("tell", TELL), ("nothing", NOTHING), ("fails", FAILS))
    ]
    await guest.start()
    secret = (guest.folder / "secret").read_text(encoding="utf-8").strip()
    known = by(domain.name, "root")
    paths = [f"/v2/programs/{tell}/webhook", f"/v1/webhooks/{domain.name}/{tell}"]
    odd = ["X-Many: one", "x-many: two", "X-Cafe: \xe9\xff", "Cookie: secret", "Content-Type: text/csv", "X-Empty:"]
    requests = [
        *(request(path, body, known, *headers) for path in paths for body in (b"", b"hello") for headers in ([], odd)),
        request(paths[1], b"hello", f"Authorization: Bearer {secret}"),
        request(f"/v2/programs/{nothing}/webhook", b"", known),
        request(f"/v2/programs/{fails}/webhook", b"", known),
    ]
    for head, body in requests:
        direct, usual = await both_ways(guest.manager_port, head, body)
        assert direct == usual, head
        assert b"secret" not in direct[2]
        assert known.partition(": ")[2].encode() not in direct[2]
    runs = await guest.until_runs(tell, 2 * 9)
    assert {run["request_bytes"] for run in runs} == {0, 5}
    assert {run["trigger"] for run in runs} == {"webhook"}


async def test_each_program_is_told_the_length_of_its_own_body(guest: Guest, domain: Domain) -> None:
    tell = await domain.add("tell", TELL)
    await guest.start()
    bodies = [b"abc", b"abcdefghij", b"abc", b""]
    parts = [b"".join(request(f"/v2/programs/{tell}/webhook", body, by(domain.name, "root"))) for body in bodies]
    said = await answers(guest.manager_port, parts, len(parts))
    assert [json.loads(body)["headers"]["Content-Length"] for _, _, body in said] == ["3", "10", "3", "0"]
    assert not any("Server" in headers for _, headers, _ in said)


async def test_what_cannot_be_called_is_said_in_the_same_words_on_either_way(guest: Guest, domain: Domain) -> None:
    other = await guest.add_domain("other")
    tell = await domain.add("tell", TELL)
    await guest.start()
    mine, theirs = f"/v1/webhooks/{domain.name}/{tell}", f"/v2/programs/{tell}/webhook"
    expected = [
        (mine, [], 401),
        (mine, [by(domain.name, "wrong")], 401),
        (mine, ["Authorization: Bearer wrong"], 401),
        (mine, [by(other.name, "root")], 403),
        (theirs, [by(other.name, "root")], 404),
        (f"/v1/webhooks/{domain.name}/{uuid4()}", [by(domain.name, "root")], 404),
        (f"/v1/webhooks/{domain.name}/not-a-uuid", [by(domain.name, "root")], 404),
        (f"/v1/webhooks/nowhere/{tell}", [by(domain.name, "root")], 403),
        ("/v2/programs/not-a-uuid/webhook", [], 401),
        ("/v2/programs/not-a-uuid/webhook", [by(domain.name, "root")], 404),
    ]
    for path, headers, status in expected:
        direct, usual = await both_ways(guest.manager_port, *request(path, b"{}", *headers))
        assert direct == usual, path
        assert direct[0] == status, path


@pytest.mark.parametrize("suffix", ["?a=1", "?", "%61", "/", "/../x"])
async def test_a_path_that_is_not_plain_takes_the_usual_way(guest: Guest, domain: Domain, suffix: str) -> None:
    tell = await domain.add("tell", TELL)
    await guest.start()
    head, body = request(f"/v1/webhooks/{domain.name}/{tell}{suffix}", b"hello", by(domain.name, "root"))
    ((status, headers, said),) = await answers(guest.manager_port, [head + body], 1)
    assert "Server" in headers
    if suffix == "?a=1":
        assert status == 200
        assert b'"query":"a=1"' in said


async def test_the_limit_of_a_body_holds_on_either_way(installation: Installation, domain: Domain) -> None:
    tell = await domain.add("tell", TELL)
    installation.manager(LIMITS__BODY_BYTES="1024")
    installation.worker()
    for daemon in installation.daemons:
        await daemon.start()
    await installation.until_ready()
    for size, status in ((1024, 200), (1025, 413)):
        made = request(f"/v2/programs/{tell}/webhook", b"x" * size, by(domain.name, "root"))
        direct = await answers(installation.manager_port, [b"".join(made)], 1)
        usual = await answers(installation.manager_port, [made[0][:-10], made[0][-10:] + made[1]], 1)
        assert [direct[0][0], usual[0][0]] == [status, status]
        assert direct[0][2] == usual[0][2]


async def test_webhooks_are_counted_on_either_way(guest: Guest, domain: Domain) -> None:
    tell = await domain.add("tell", TELL)
    await guest.start()

    async def counted() -> float:
        reply = await guest.call("GET", "/metrics", token=None)
        lines = reply.body.decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("juvuln_webhook_seconds_count"))

    before = await counted()
    await both_ways(guest.manager_port, *request(f"/v2/programs/{tell}/webhook", b"", by(domain.name, "root")))
    assert await counted() == before + 2

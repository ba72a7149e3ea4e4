"""Thousands of connections that say nothing do not stop the others."""

import resource
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.daemons import DaemonProcess
from tests.support.installation import Domain, Installation
from tests.support.waiting import until

WANTED = 4_000
ROOM = 500
"""Descriptors that the test itself needs, its databases included."""
PROMPT_SECONDS = 2.0


@pytest.fixture
def many() -> Iterator[int]:
    """As many connections as the descriptors of the test allow; half to each daemon."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield min(WANTED, hard - ROOM)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_both_daemons_answer_through_thousands_of_silent_connections_and_close_them(
    installation: Installation, domain: Domain, many: int
) -> None:
    uuid = await domain.add("hook", "x := 1")
    limits = {"LIMITS__HEAD_TIMEOUT_SECONDS": "3", "LIMITS__CONNECTIONS": str(many // 4)}
    daemons = [installation.manager(**limits), installation.worker(**limits)]
    for daemon in daemons:
        await daemon.start()
    await installation.until_ready()
    with ExitStack() as stack:
        silent = {daemon.name: [_connect(daemon, stack) for _ in range(many // 2)] for daemon in daemons}
        began = time.monotonic()
        assert (await installation.webhook(uuid)).status == 200
        for daemon in daemons:
            assert (await installation.call("GET", "/healthz", token=None, url=daemon.url)).status == 200
        assert time.monotonic() - began < PROMPT_SECONDS

        async def closed() -> bool:
            return all(_is_closed(each) for connections in silent.values() for each in connections)

        await until(closed, "all silent connections are closed")
    assert (await installation.webhook(uuid)).status == 200
    for daemon in daemons:
        assert await daemon.stop() == 0
        assert not daemon.events("task_failed")


def _connect(daemon: DaemonProcess, stack: ExitStack) -> socket.socket:
    return stack.enter_context(socket.create_connection(("127.0.0.1", daemon.port), timeout=10))


def _is_closed(connection: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))

"""The worker's place in the manager's list."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import aiohttp
import pytest
from structlog.testing import capture_logs

from malgomaj.advertise import introduction
from malgomaj.config import WorkerSettings
from malgomaj.peer import Peer, SharedSecret
from malgomaj.subscription import NOT_YET, PROBLEM, Manager, Subscription
from shared.auth import BasicCredentials
from shared.config import load_settings
from shared.health import Readiness
from shared.wire import Subscriber
from tests.malgomaj.manager import SECRET, LocalManager, local_manager
from tests.support.waiting import free_port, until

WORKER = UUID("11111111-2222-4333-8444-555555555555")
SUBSCRIBER = Subscriber(uuid=WORKER, authority="u:p@127.0.0.1:1", languages=["tengo"])


class Kept:
    """A subscription being kept, with short intervals."""

    def __init__(self, session: aiohttp.ClientSession, authority: str, secret: SharedSecret) -> None:
        self.readiness = Readiness({PROBLEM: NOT_YET})
        self.load = 7
        self.subscription = Subscription(
            Manager(session, Peer.at("http", authority), secret, WORKER),
            secret,
            self.readiness,
            introduce=self._introduce,
            load=lambda: self.load,
            secret_advice="copy the secret",
            interval_seconds=0.05,
            jitter=lambda: 0.5,
        )

    async def _introduce(self) -> Subscriber:
        return SUBSCRIBER

    async def problem(self, part: str) -> None:
        """Wait until the problem that `/readyz` tells of contains ``part``."""
        await until(self._when(lambda: part in self.readiness.problems().get(PROBLEM, "")), part)

    async def ready(self) -> None:
        await until(self._when(lambda: not self.readiness.problems()), "the worker is ready")

    def _when(self, condition: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
        async def ask() -> bool:
            return condition()

        return ask


@asynccontextmanager
async def kept(authority: str, secret: SharedSecret | None = None) -> AsyncIterator[Kept]:
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        kept = Kept(session, authority, secret or SharedSecret(lambda: SECRET))
        keeping = group.create_task(kept.subscription.keep())
        yield kept
        keeping.cancel()


async def test_an_unknown_worker_introduces_itself_and_then_reports_its_load(manager: LocalManager) -> None:
    async with kept(manager.authority) as worker:
        await worker.ready()
        assert manager.subscribers[str(WORKER)]["authority"] == SUBSCRIBER.authority
        await until(_loads(manager, 7), "the load is reported")
        worker.load = 99
        await until(_loads(manager, 99), "the new load is reported")
    assert manager.calls["POST subscribers"] == 1


async def test_a_worker_that_was_forgotten_introduces_itself_again(manager: LocalManager) -> None:
    async with kept(manager.authority) as worker:
        await worker.ready()
        manager.subscribers.clear()
        await until(_knows(manager), "the worker subscribes again")


async def test_a_worker_waits_for_its_manager_and_finds_it_again() -> None:
    port = free_port()
    async with kept(f"127.0.0.1:{port}") as worker:
        await worker.problem("is away")
        async with local_manager(port) as manager:
            await until(_knows(manager), "the worker subscribes")
            await worker.ready()
        await worker.problem("is away")
        async with local_manager(port) as manager:
            await until(_knows(manager), "the worker subscribes again")
            await worker.ready()


@pytest.mark.parametrize("status", [500, 302, 200])
async def test_a_manager_that_answers_something_else_is_a_problem(manager: LocalManager, status: int) -> None:
    manager.status = status
    async with kept(manager.authority) as worker:
        await worker.problem(f"with status {status}")


async def test_secrets_that_differ_are_said_once_and_healed_when_the_right_one_is_there(manager: LocalManager) -> None:
    secrets = {"mine": "not the manager's secret"}
    with capture_logs() as logs:
        async with kept(manager.authority, SharedSecret(lambda: secrets["mine"])) as worker:
            await worker.problem("does not accept this worker's secret; copy the secret")
            asked = manager.calls["GET subscribers"]

            async def asked_again() -> bool:
                return manager.calls["GET subscribers"] > asked + 1

            await until(asked_again, "the worker goes on asking")
            secrets["mine"] = SECRET
            await worker.ready()
    assert [line["event"] for line in logs] == ["not_subscribed", "subscribed"]


async def test_goodbye_takes_the_worker_from_the_list(manager: LocalManager) -> None:
    async with kept(manager.authority) as worker:
        await worker.ready()
    async with aiohttp.ClientSession() as session:
        gone = Kept(session, manager.authority, SharedSecret(lambda: SECRET))
        await gone.subscription.say_goodbye()  # it never was there, so it says nothing
        assert manager.calls["DELETE subscribers"] == 0
    async with kept(manager.authority) as worker:
        await worker.ready()
        await worker.subscription.say_goodbye()
        assert manager.calls["DELETE subscribers"] == 1


async def test_a_goodbye_that_nobody_hears_is_no_error() -> None:
    port = free_port()
    async with local_manager(port) as manager, kept(manager.authority) as worker:
        await worker.ready()
        manager.status = 503
        with capture_logs() as logs:
            await worker.subscription.say_goodbye()
    assert "goodbye_unheard" in [line["event"] for line in logs]


@pytest.mark.parametrize(
    ("settings", "authority"),
    [
        ({}, "u%40:p%2F@127.0.0.1:4000"),
        ({"LISTEN__HOST": "192.0.2.7"}, "u%40:p%2F@192.0.2.7:4000"),
        ({"LISTEN__HOST": "::1"}, "u%40:p%2F@[::1]:4000"),
        ({"LISTEN__HOST": "worker.example"}, "u%40:p%2F@worker.example:4000"),
        # Where it listens everywhere, the address is the one that it reaches the manager from.
        ({"LISTEN__HOST": "0.0.0.0"}, "u%40:p%2F@127.0.0.1:4000"),
        ({"LISTEN__HOST": "::"}, "u%40:p%2F@127.0.0.1:4000"),
        ({"ADVERTISE__HOST": "out.example", "ADVERTISE__PORT": "443"}, "u%40:p%2F@out.example:443"),
    ],
)
async def test_the_worker_says_where_it_can_be_reached(
    settings: dict[str, str], authority: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {f"MALGOMAJ_{name}": value for name, value in settings.items()}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    loaded = load_settings(WorkerSettings, None, environ)
    peer = Peer.at("http", "127.0.0.1:8097")
    introduced = await introduction(loaded, peer, 4000, WORKER, BasicCredentials("u@", "p/"), ["tengo"])
    assert introduced.authority == authority
    assert (introduced.scheme, introduced.uuid, introduced.languages) == ("http", WORKER, ["tengo"])


def _loads(manager: LocalManager, load: int) -> Callable[[], Awaitable[bool]]:
    async def reported() -> bool:
        return manager.loads[-1:] == [load]

    return reported


def _knows(manager: LocalManager) -> Callable[[], Awaitable[bool]]:
    async def known() -> bool:
        return str(WORKER) in manager.subscribers

    return known

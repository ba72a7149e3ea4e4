"""The worker's place in the manager's list: taken, kept, reported to, given back."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from uuid import UUID

import aiohttp
import structlog

from malgomaj.errors import ManagerAway, ManagerRefuses
from malgomaj.peer import Peer, SharedSecret
from shared.errors import ConfigurationError
from shared.health import Readiness
from shared.http import connection_fault
from shared.wire import Load, Subscriber

ANSWER_TIMEOUT_SECONDS = 5.0
GOODBYE_TIMEOUT_SECONDS = 2.0
FIRST_RETRY_SECONDS = 0.2
PROBLEM = "manager"
"""The name of the problem in `/readyz` while the worker is not subscribed."""
NOT_YET = "not subscribed yet"
"""The problem before the first look."""

log = structlog.get_logger()


class Manager:
    """The client of the manager's list of subscribers, for one of them."""

    def __init__(self, session: aiohttp.ClientSession, peer: Peer, secret: SharedSecret, uuid: UUID) -> None:
        self._session = session
        self._peer = peer
        self._secret = secret
        self._uuid = uuid

    @property
    def base_url(self) -> str:
        return self._peer.base_url

    async def knows_us(self) -> bool:
        return await self._call("GET", f"/{self._uuid}", {204: True, 404: False})

    async def subscribe(self, subscriber: Subscriber) -> None:
        await self._call("POST", "", {201: True}, subscriber.model_dump_json())

    async def report_load(self, load: int) -> bool:
        """Says whether the manager still knows this worker."""
        return await self._call(
            "PUT", f"/{self._uuid}/load", {204: True, 404: False}, Load(load=load).model_dump_json()
        )

    async def say_goodbye(self) -> None:
        await self._call("DELETE", f"/{self._uuid}", {204: True, 404: True}, timeout_seconds=GOODBYE_TIMEOUT_SECONDS)

    async def _call(
        self,
        method: str,
        path: str,
        meanings: Mapping[int, bool],
        body: str | None = None,
        timeout_seconds: float = ANSWER_TIMEOUT_SECONDS,
    ) -> bool:
        """What the answer's status means. Raises ManagerAway, or ManagerRefuses for 401 and 403."""
        headers = self._peer.headers(self._secret)
        if body is not None:
            headers["Content-Type"] = "application/json"
        url = f"{self._peer.base_url}/v1/subscribers{path}"
        timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                status = answer.status
        except (aiohttp.ClientError, OSError) as error:
            reason = connection_fault(error) or f"no answer within {timeout_seconds:g} s"
            raise ManagerAway(f"the program manager at {self._peer.base_url} is away: {reason}") from error
        if status in (401, 403):
            raise ManagerRefuses(f"the program manager at {self._peer.base_url} does not accept this worker's secret")
        if status not in meanings:
            raise ManagerAway(
                f"the program manager at {self._peer.base_url} answered {method} /v1/subscribers with status {status}"
            )
        return meanings[status]


class Subscription:
    """Keeps the worker subscribed: asks, introduces it where it is not known, reports its load where it is."""

    def __init__(
        self,
        manager: Manager,
        secret: SharedSecret,
        readiness: Readiness,
        *,
        introduce: Callable[[], Awaitable[Subscriber]],
        load: Callable[[], int],
        secret_advice: str,
        interval_seconds: float,
        jitter: Callable[[], float],
    ) -> None:
        """``jitter`` gives numbers from 0 to 1; ``secret_advice`` says what to do where the secrets differ."""
        self._manager = manager
        self._secret = secret
        self._readiness = readiness
        self._introduce = introduce
        self._load = load
        self._secret_advice = secret_advice
        self._interval_seconds = interval_seconds
        self._jitter = jitter
        self._problem: str | None = NOT_YET
        self._wake = asyncio.Event()

    async def keep(self) -> None:
        """Stay subscribed, for ever: look once in every interval, and sooner after a failure."""
        retry_seconds = FIRST_RETRY_SECONDS
        while True:
            self._note(await self._look())
            if self._problem is None:
                retry_seconds = FIRST_RETRY_SECONDS
                await self._pause(self._interval_seconds)
            else:
                await self._pause(min(retry_seconds, self._interval_seconds) * (0.75 + self._jitter() / 2))
                retry_seconds = min(retry_seconds * 2, self._interval_seconds)

    def look_now(self) -> None:
        """Do not wait for the rest of the interval."""
        self._wake.set()

    async def say_goodbye(self) -> bool:
        """Leave the manager's list, so that it sends nothing more. Says whether there was one who heard it."""
        if self._problem is not None:
            return False
        try:
            await self._manager.say_goodbye()
        except (ManagerAway, ManagerRefuses) as error:
            log.warning("goodbye_unheard", reason=str(error))
            return False
        return True

    async def _look(self) -> str | None:
        """One beat of the rhythm; gives the problem if there is one."""
        try:
            if not (await self._manager.knows_us() and await self._manager.report_load(self._load())):
                await self._manager.subscribe(await self._introduce())
                log.info("subscribed", manager=self._manager.base_url)
        except ManagerRefuses as error:
            self._read_secret_again()
            return f"{error}; {self._secret_advice}"
        except ManagerAway as error:
            return str(error)
        return None

    def _read_secret_again(self) -> None:
        """Somebody may have put the right one in its place by now."""
        try:
            self._secret.refresh()
        except ConfigurationError as error:
            log.warning("secret_unreadable", reason=str(error))

    def _note(self, problem: str | None) -> None:
        if problem is not None and problem != self._problem:
            log.warning("not_subscribed", reason=problem)
        self._problem = problem
        self._readiness.set(PROBLEM, problem)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

"""A manager and a worker that many tests use, one after the other, each with domains of its own.

To start them takes longer than most tests do. A test that needs other settings, or ends them, starts its own.
"""

import asyncio
import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tests.support.daemons import DaemonProcess
from tests.support.databases import DatabaseServer
from tests.support.installation import Domain, Installation
from tests.support.waiting import until

NO_RATES = {f"LIMITS__RATE__{name}_PER_SECOND": "0" for name in ("DOMAIN", "ADDRESS", "FAILURES")}
"""All tests call from one address, so that together they would be too many calls."""
ACCESS = {"ACCESS__CACHE_SECONDS": "0.5"}
"""Soon enough that no test waits long for a right that it gave or took away to count."""


@dataclass
class Guest(Installation):
    """An installation to one test, whose daemons run already and stay."""

    number: int = 0

    async def add_domain(self, name: str) -> Domain:
        """With its number in its name: the record still has the runs of those that were called so before."""
        return await super().add_domain(f"{name}{self.number}")

    async def start(self, *, workers: int = 1) -> Sequence[DaemonProcess]:
        """Have the manager know all that was written by now, as one that starts afterwards would."""
        assert workers == 1, "a test that needs more starts its own"
        await _reload(self.daemons[0])
        await until(self._served, f"the manager serves the domains of the test; its log: {self.daemons[0].log_path}")
        await self.until_ready()
        return self.daemons

    async def _served(self) -> bool:
        return all([(await self.call("GET", "/v2/programs", domain=name)).status != 401 for name in self.domains])

    async def close(self) -> None:
        """Leave the daemons without domains."""
        self.daemons, running = [], self.daemons
        await super().close()
        self.domains.clear()
        self.write_domain_file()
        await _reload(running[0])


async def _reload(manager: DaemonProcess) -> None:
    """Have the manager read the domain file and all domains, and wait until it has."""

    def count() -> int:
        return len(re.findall(r'"event":"reload(ed|_failed)"', manager.log_text()))

    async def reloaded() -> bool:
        return count() > before

    before = count()
    manager.signal(signal.SIGHUP)
    await until(reloaded, f"the manager reloads; its log: {manager.log_path}")


class Standing:
    """The daemons, which one guest uses at a time."""

    def __init__(self, host: Installation) -> None:
        self._host = host
        self._numbers = count(1)

    def guest(self, databases: DatabaseServer) -> Guest:
        number = next(self._numbers)
        return Guest(
            self._host.folder,
            databases,
            manager_port=self._host.manager_port,
            daemons=self._host.daemons,
            record_url=self._host.record_url,
            own_domain=f"test{number}",
            number=number,
        )


@contextmanager
def standing_daemons(folder: Path, databases: DatabaseServer) -> Iterator[Standing]:
    host = Installation(folder, databases)
    # The tests have loops of their own, which end before.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        try:
            runner.run(_start(host))
            yield Standing(host)
        finally:
            runner.run(host.close())


async def _start(host: Installation) -> None:
    await host.open()
    host.write_domain_file()
    # The executors of domains that are gone are of no use to anybody.
    for daemon in (host.manager(**NO_RATES, **ACCESS), host.worker(EXECUTORS__IDLE_SECONDS="5")):
        await daemon.start()
    await host.until_ready()

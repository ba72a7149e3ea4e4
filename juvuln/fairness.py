"""Who is next: so many places, shared fairly between the domains that want them. A pure queue; :class:`Places` waits.

The domains that wait take turns, whatever the number of runs that each has waiting. And no domain takes all places: it
may have at most so many times as many as are free, so that one that comes later finds some, even if all runs take long.
"""

import asyncio
from collections import Counter, OrderedDict
from typing import Generic, TypeVar

from shared.share import has_share

Waiting = TypeVar("Waiting")


class FairQueue(Generic[Waiting]):
    """What waits, by domain, and how many places each domain has."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._taken: Counter[str] = Counter()
        self._waiting: OrderedDict[str, OrderedDict[Waiting, None]] = OrderedDict()
        """The domains in the order of their turns, none without somebody who waits."""

    def __len__(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values()))

    def put(self, domain: str, one: Waiting) -> None:
        """Have ``one`` wait behind the others of its domain."""
        self._waiting.setdefault(domain, OrderedDict())[one] = None

    def take_at_once(self, domain: str) -> bool:
        """Give the domain a place if nobody waits and it may have one; tells whether it did."""
        if self._waiting or not self._may_take(domain):
            return False
        self._give(domain)
        return True

    def leave(self, domain: str, one: Waiting) -> None:
        """Have ``one`` wait no longer, if it still does."""
        others = self._waiting.get(domain, OrderedDict())
        if one in others:
            del others[one]
            if not others:
                del self._waiting[domain]

    def take(self) -> tuple[str, Waiting] | None:
        """Give a place to the first of the domain whose turn it is; None while nobody who waits may have one."""
        domain = next((domain for domain in self._waiting if self._may_take(domain)), None)
        if domain is None:
            return None
        one, _ = self._waiting[domain].popitem(last=False)
        if self._waiting[domain]:
            self._waiting.move_to_end(domain)
        else:
            del self._waiting[domain]
        self._give(domain)
        return domain, one

    def give_back(self, domain: str) -> None:
        """A place that the domain had is free."""
        self._free += 1
        self._taken[domain] -= 1
        if not self._taken[domain]:
            del self._taken[domain]

    def _give(self, domain: str) -> None:
        self._free -= 1
        self._taken[domain] += 1

    def _may_take(self, domain: str) -> bool:
        return has_share(self._taken[domain], self._free)


class Places:
    """The places that runs take, one each, or compiles."""

    def __init__(self, places: int) -> None:
        self._queue: FairQueue[asyncio.Future[None]] = FairQueue(places)

    async def take(self, domain: str) -> None:
        """Wait for a place, which the caller must give back."""
        if self._queue.take_at_once(domain):
            return
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put(domain, given)
        self._hand_out()
        try:
            await given
        except asyncio.CancelledError:
            self._queue.leave(domain, given)
            if not given.cancelled():
                self.give_back(domain)  # given at the very moment in which it was given up
            raise

    def give_back(self, domain: str) -> None:
        self._queue.give_back(domain)
        self._hand_out()

    def _hand_out(self) -> None:
        while (taken := self._queue.take()) is not None:
            domain, given = taken
            if given.cancelled():
                self._queue.give_back(domain)  # by somebody who does not know yet that he was cancelled
            else:
                given.set_result(None)

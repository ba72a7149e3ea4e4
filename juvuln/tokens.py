"""Looking up a domain's tokens, with a short memory, so that a busy webhook does not ask the database at every call."""

from collections import OrderedDict

from juvuln.access import Principal
from juvuln.clock import Clock
from juvuln.domains.domains import Domains
from shared.auth import BasicCredentials, sha256

REMEMBERED = 10_000


class Tokens:
    def __init__(self, domains: Domains, clock: Clock, remember_seconds: float) -> None:
        self._domains = domains
        self._clock = clock
        self._remember_seconds = remember_seconds
        self._known: OrderedDict[tuple[str, bytes], tuple[float, Principal]] = OrderedDict()

    async def principal(self, credentials: BasicCredentials) -> Principal | None:
        """Who shows these credentials: user = domain, password = token; None for a stranger.

        Raises DatabaseError while the domain's database is away and the token is not remembered.
        """
        store = self._domains.store(credentials.user)
        if store is None:
            return None
        key = (credentials.user, sha256(credentials.password))
        if remembered := self._remembered(key):
            return remembered
        principal = await store.principal(key[1])
        if principal is not None:
            self._remember(key, principal)
        return principal

    def forget(self, domain: str) -> None:
        """Look the tokens of a domain up again at their next use."""
        for key in [key for key in self._known if key[0] == domain]:
            del self._known[key]

    def _remembered(self, key: tuple[str, bytes]) -> Principal | None:
        until, principal = self._known.get(key, (0.0, None))
        return principal if self._clock.monotonic_seconds() < until else None

    def _remember(self, key: tuple[str, bytes], principal: Principal) -> None:
        self._known[key] = (self._clock.monotonic_seconds() + self._remember_seconds, principal)
        self._known.move_to_end(key)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

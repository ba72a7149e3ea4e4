"""Looking up a domain's tokens, with a short memory, so that a busy webhook does not ask the database at every call."""

from collections import OrderedDict
from typing import NamedTuple, Self

import structlog

from juvuln.access import Principal
from juvuln.clock import Clock
from juvuln.database import DatabaseError
from juvuln.domains.domains import Domains
from shared.auth import BasicCredentials, sha256

REMEMBERED = 10_000

log = structlog.get_logger()


class ShownToken(NamedTuple):
    """A token as a caller shows it: user = domain, password = token, of which nothing but its hash is needed."""

    domain: str
    token_hash: bytes

    @classmethod
    def of(cls, credentials: BasicCredentials) -> Self:
        return cls(credentials.user, sha256(credentials.password))


class Tokens:
    def __init__(self, domains: Domains, clock: Clock, remember_seconds: float) -> None:
        self._domains = domains
        self._clock = clock
        self._remember_seconds = remember_seconds
        self._known: OrderedDict[ShownToken, tuple[float, Principal]] = OrderedDict()
        self._forgotten_at: dict[str, float] = {}

    async def principal(self, shown: ShownToken) -> Principal | None:
        """Who shows this token; None for a stranger.

        Raises DatabaseError while the domain's database is away and the token is not remembered.
        """
        store = self._domains.store(shown.domain)
        if store is None:
            await self._look_in_vain(shown.token_hash)
            return None
        # What is changed while we ask counts as changed after we asked.
        asked_at = self._clock.monotonic_seconds()
        if remembered := self._remembered(shown, asked_at):
            return remembered
        principal = await store.principal(shown.token_hash)
        if principal is not None:
            self._remember(shown, principal, asked_at)
        return principal

    def known(self, shown: ShownToken) -> Principal | None:
        """Whose token this is, if that was looked up a moment ago."""
        return self._remembered(shown, self._clock.monotonic_seconds())

    def forget(self, domain: str) -> None:
        """Look the tokens of a domain up again at their next use."""
        # What is being looked up at this moment may have been read before the change.
        self._forgotten_at[domain] = self._clock.monotonic_seconds()
        for shown in [shown for shown in self._known if shown.domain == domain]:
            del self._known[shown]

    async def _look_in_vain(self, token_hash: bytes) -> None:
        """Take the time that a wrong token takes, lest it be measured which domains there are."""
        name = next(iter(self._domains.names()), None)
        store = self._domains.store(name) if name is not None else None
        if store is None:
            return
        try:
            await store.principal(token_hash)
        except DatabaseError as error:
            log.debug("stranger_not_looked_up", reason=error.reason)

    def _remembered(self, shown: ShownToken, now: float) -> Principal | None:
        until, principal = self._known.get(shown, (0.0, None))
        return principal if now < until else None

    def _remember(self, shown: ShownToken, principal: Principal, asked_at: float) -> None:
        if asked_at <= self._forgotten_at.get(shown.domain, float("-inf")):
            return
        self._known[shown] = (asked_at + self._remember_seconds, principal)
        self._known.move_to_end(shown)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

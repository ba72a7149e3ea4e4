"""Who calls too often is told when to come again: 429 with Retry-After."""

import math

from juvuln.api.asking import Asking
from juvuln.clock import Clock
from juvuln.config import JuvulnSettings
from juvuln.rate import Buckets, caller_address
from shared.http import Refusal

WRONG = "wrong credentials from this address"


class Rates:
    """Each of the checks raises Refusal."""

    def __init__(self, settings: JuvulnSettings, clock: Clock) -> None:
        rate = settings.limits.rate
        self._domains = Buckets(rate.domain_per_second, rate.domain_burst)
        self._addresses = Buckets(rate.address_per_second, rate.address_burst)
        self._failures = Buckets(rate.failures_per_second, rate.failures_burst)
        self._trusted_proxies = settings.listen.trusted_proxies
        self._clock = clock

    def check_address(self, request: Asking) -> None:
        _refuse(self._addresses.take(self._address(request), self._now()), "calls from this address")

    def check_domain(self, domain: str) -> None:
        _refuse(self._domains.take(domain, self._now()), "calls of this domain")

    def check_failures(self, request: Asking) -> None:
        """Before credentials are looked up, which costs something."""
        _refuse(self._failures.wait_seconds(self._address(request), self._now()), WRONG)

    def failed(self, request: Asking) -> None:
        """The request's credentials are wrong."""
        _refuse(self._failures.take(self._address(request), self._now()), WRONG)

    def _address(self, request: Asking) -> str:
        return caller_address(
            request.remote or "", request.headers.getall("X-Forwarded-For", []), self._trusted_proxies
        )

    def _now(self) -> float:
        return self._clock.monotonic_seconds()


def _refuse(wait_seconds: float, what: str) -> None:
    if wait_seconds:
        raise Refusal(429, f"too many {what}; try again later", {"Retry-After": str(math.ceil(wait_seconds))})

"""How often somebody may call: a bucket of tokens for each domain and each address, which fills as time goes by.

Pure: time is passed in. Memory is bounded; who has not called for longest is forgotten first, by when its bucket is
mostly full again.
"""

from collections import OrderedDict
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

REMEMBERED = 10_000
IPV6_SITE_BITS = 64
"""A site has at least as many addresses of IPv6 as this leaves free; they count as one."""


class Buckets:
    """A bucket for each key. With a rate of 0 nobody is ever refused."""

    def __init__(self, per_second: float, burst: float, most: int = REMEMBERED) -> None:
        self._per_second = per_second
        self._burst = burst
        self._most = most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def wait_seconds(self, key: str, now: float) -> float:
        """How long until there is a token; 0 if there is one."""
        return 0.0 if self._per_second == 0 else max(0.0, (1.0 - self._tokens(key, now)) / self._per_second)

    def take(self, key: str, now: float) -> float:
        """Take a token. If there is none, nothing is taken, and this is how long until there is one (s)."""
        if wait := self.wait_seconds(key, now):
            return wait
        if self._per_second:
            self._buckets[key] = self._tokens(key, now) - 1.0, now
            self._buckets.move_to_end(key)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        return 0.0

    def _tokens(self, key: str, now: float) -> float:
        tokens, at = self._buckets.get(key, (self._burst, now))
        return min(self._burst, tokens + (now - at) * self._per_second)


def caller_address(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """Who calls: the peer, or, as far as proxies are trusted, who they say that they call for.

    ``forwarded`` are the X-Forwarded-For headers. Whoever is no trusted proxy can write there what it likes, so they
    are read from the end, up to the first address that is none. Of an IPv6 address it is the network.
    """
    hops = [hop.strip() for header in forwarded for hop in header.split(",")]
    address = _parsed(peer)
    while hops and address is not None and any(address in network for network in trusted):
        before = _parsed(hops.pop())
        if before is None:
            break
        address = before
    return peer if address is None else _site(address)


def _parsed(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _site(address: Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((int(address), IPV6_SITE_BITS), strict=False))

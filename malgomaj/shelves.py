"""What is kept for domains within bounds that they share, so that none pushes out what others use."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class _Shelf(Generic[K, V]):
    """What is kept for one domain, used least lately first, each with its size in bytes."""

    kept: OrderedDict[K, tuple[V, int]] = field(default_factory=OrderedDict)
    bytes: int = 0


class Shelves(Generic[K, V]):
    """A shelf for each domain; what is on one is found with that domain alone.

    Where there is no room, the domain that has most gives up what it used least lately.
    """

    def __init__(self, max_count: int, max_bytes: int) -> None:
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._shelves: dict[str, _Shelf[K, V]] = {}
        self._count = 0
        self.bytes = 0
        """The size of all that is kept."""

    def __len__(self) -> int:
        return self._count

    def get(self, domain: str, key: K) -> V | None:
        """What is kept under this key for this domain; it counts as used."""
        shelf = self._shelves.get(domain)
        if shelf is None or key not in shelf.kept:
            return None
        shelf.kept.move_to_end(key)
        return shelf.kept[key][0]

    def put(self, domain: str, key: K, value: V, size_bytes: int) -> None:
        """Keep it instead of what was there; what is larger than all the room there is is not kept."""
        self.drop(domain, key)
        if size_bytes > self._max_bytes:
            return
        shelf = self._shelves.setdefault(domain, _Shelf())
        shelf.kept[key] = value, size_bytes
        shelf.bytes += size_bytes
        self._count += 1
        self.bytes += size_bytes
        while self._count > self._max_count:
            self._drop_of_the_largest(lambda shelf: len(shelf.kept))
        while self.bytes > self._max_bytes:
            self._drop_of_the_largest(lambda shelf: shelf.bytes)

    def drop(self, domain: str, key: K) -> None:
        shelf = self._shelves.get(domain)
        if shelf is None or key not in shelf.kept:
            return
        _, size_bytes = shelf.kept.pop(key)
        shelf.bytes -= size_bytes
        self._count -= 1
        self.bytes -= size_bytes
        if not shelf.kept:
            del self._shelves[domain]

    def _drop_of_the_largest(self, size: Callable[[_Shelf[K, V]], int]) -> None:
        domain, shelf = max(self._shelves.items(), key=lambda named: size(named[1]))
        self.drop(domain, next(iter(shelf.kept)))

"""Which programs an executor holds compiled, under keys made of everything that went into them.

Nothing here reads a clock or talks to anybody: times are seconds on any one clock, given by the caller.
"""

import functools
import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

from tengo_bridge.compiling import Import

REMEMBERED = 1024
"""Of digests and keys, as many."""
SHORT_BYTES = 1024
"""Of source code that is kept to remember its digest."""

MIN_KEPT_SECONDS = 1.0
"""A program is kept for as long at least, so that what has just been compiled can be run."""


class Source(NamedTuple):
    """A program without its modules."""

    domain: str
    language: str
    file: str
    """The name that stands in error positions."""
    digest: str
    """SHA-256 of its code (64 hex digits)."""

    @classmethod
    def of(cls, domain: str, language: str, file: str, code: bytes) -> Self:
        return cls(domain, language, file, _digest_of_short(code) if len(code) <= SHORT_BYTES else _digest_of(code))


def _digest_of(code: bytes) -> str:
    return hashlib.sha256(code).hexdigest()


# What is asked at every run is remembered of some: to make it anew takes as long as some programs do.
_digest_of_short = functools.lru_cache(maxsize=REMEMBERED)(_digest_of)


@functools.lru_cache(maxsize=REMEMBERED)
def source_key(source: Source) -> str:
    """Names the program without its modules (64 hex digits)."""
    return _digest(tuple(source))


def program_key(source: str, modules: Mapping[str, bytes]) -> str:
    """Names the program of that source key with exactly these modules: SHA-256 of their code by name."""
    if not modules:
        return source
    return _digest((source, *sorted(modules.items())))


def _digest(facts: tuple[object, ...]) -> str:
    # As Python writes a tuple, no two read the same.
    return hashlib.sha256(repr(facts).encode()).hexdigest()


@dataclass(slots=True)
class _Kept:
    bytes: int
    used_at: float


class CompiledPrograms:
    """What one executor holds compiled, the least recently used first.

    What was used last stays, however large it is: it is about to run.
    """

    def __init__(self, max_programs: int, max_bytes: int, kept_seconds: float) -> None:
        self._max_programs = max_programs
        self._max_bytes = max_bytes
        self._kept_seconds = max(kept_seconds, MIN_KEPT_SECONDS)
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self.bytes = 0
        """About how much memory they take together."""
        self._imports: OrderedDict[str, tuple[Import, ...]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def holds(self, key: str) -> bool:
        return key in self._kept

    def use(self, key: str, now: float) -> bool:
        """Whether the program is there; if so it is kept for longer."""
        kept = self._kept.get(key)
        if kept is None:
            return False
        kept.used_at = now
        self._kept.move_to_end(key)
        return True

    def add(self, key: str, size_bytes: int, now: float) -> list[str]:
        """Note a program as compiled; gives the keys that had to go for it."""
        if key in self._kept:
            self._drop(key)
        self._kept[key] = _Kept(size_bytes, now)
        self.bytes += size_bytes
        gone = []
        while len(self._kept) > 1 and (len(self._kept) > self._max_programs or self.bytes > self._max_bytes):
            gone.append(self._drop(next(iter(self._kept))))
        return gone

    def expire(self, now: float) -> list[str]:
        """Drop the programs that were not used for too long; gives their keys."""
        expired = []
        while self._kept and next(iter(self._kept.values())).used_at + self._kept_seconds <= now:
            expired.append(self._drop(next(iter(self._kept))))
        return expired

    def _drop(self, key: str) -> str:
        self.bytes -= self._kept.pop(key).bytes
        return key

    def imports(self, source: str) -> tuple[Import, ...]:
        """What the import graph of that source key needed when it was last compiled; nothing if that is not known."""
        return self._imports.get(source, ())

    def remember_imports(self, source: str, imports: tuple[Import, ...]) -> None:
        self._imports[source] = imports
        self._imports.move_to_end(source)
        if len(self._imports) > self._max_programs:
            self._imports.popitem(last=False)

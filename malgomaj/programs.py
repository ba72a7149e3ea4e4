"""Which programs an executor holds compiled, under keys made of everything that went into them.

Nothing here reads a clock or talks to anybody: times are seconds on any one clock, given by the caller.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MIN_KEPT_SECONDS = 1.0
"""A program is kept for as long at least, so that what has just been compiled can be run."""


@dataclass(frozen=True, slots=True)
class Import:
    """A named module that a program's import graph needs."""

    name: str
    """As it stands in ``import("…")``."""
    at: str
    """The first place that imports it: ``file:line:column``."""


@dataclass(frozen=True, slots=True)
class Source:
    """A program as it came with a task."""

    domain: str
    language: str
    file: str
    """The name that stands in error positions."""
    code: bytes


def source_key(source: Source) -> str:
    """Names the program without its modules (64 hex digits)."""
    return _digest((source.domain.encode(), source.language.encode(), source.file.encode(), source.code))


def program_key(source: str, modules: Mapping[str, bytes]) -> str:
    """Names the program of that source key with exactly these modules: SHA-256 of their code by name."""
    if not modules:
        return source
    parts = [source.encode()]
    for name, digest in sorted(modules.items()):
        parts += [name.encode(), digest]
    return _digest(parts)


def _digest(parts: Sequence[bytes]) -> str:
    # The lengths go before the parts, so that no two lists of parts read the same.
    lengths = b"".join([len(part).to_bytes(8, "big") for part in parts])
    return hashlib.sha256(b"".join((lengths, *parts))).hexdigest()


class CompiledPrograms:
    """What one executor holds compiled, the least recently used first."""

    def __init__(self, max_programs: int, kept_seconds: float) -> None:
        self._max_programs = max_programs
        self._kept_seconds = max(kept_seconds, MIN_KEPT_SECONDS)
        self._used_at: OrderedDict[str, float] = OrderedDict()
        self._imports: OrderedDict[str, tuple[Import, ...]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._used_at)

    def use(self, key: str, now: float) -> bool:
        """Whether the program is there; if so it is kept for longer."""
        if key not in self._used_at:
            return False
        self._used_at[key] = now
        self._used_at.move_to_end(key)
        return True

    def add(self, key: str, now: float) -> list[str]:
        """Note a program as compiled; gives the keys that had to go for it."""
        self._used_at[key] = now
        self._used_at.move_to_end(key)
        surplus = len(self._used_at) - self._max_programs
        return [self._used_at.popitem(last=False)[0] for _ in range(surplus)]

    def expire(self, now: float) -> list[str]:
        """Drop the programs that were not used for too long; gives their keys."""
        expired = []
        while self._used_at and next(iter(self._used_at.values())) + self._kept_seconds <= now:
            expired.append(self._used_at.popitem(last=False)[0])
        return expired

    def imports(self, source: str) -> tuple[Import, ...]:
        """What the import graph of that source key needed when it was last compiled; nothing if that is not known."""
        return self._imports.get(source, ())

    def remember_imports(self, source: str, imports: tuple[Import, ...]) -> None:
        self._imports[source] = imports
        self._imports.move_to_end(source)
        if len(self._imports) > self._max_programs:
            self._imports.popitem(last=False)

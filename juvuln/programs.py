"""Programs as the manager knows them, and what changed between two readings. Values and pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from shared.wire import MAX_DEADLINE_MS, ProgramType

LARGEST_REVISION = 2**31 - 1
"""The database's integers end there."""


@dataclass(frozen=True, slots=True)
class ProgramKey:
    """What a program is known by among all domains."""

    domain: str
    uuid: UUID
    _uuid_text: str | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def uuid_text(self) -> str:
        """Put into words once: every run asks for it several times."""
        if (text := self._uuid_text) is None:
            text = str(self.uuid)
            object.__setattr__(self, "_uuid_text", text)
        return text

    def __hash__(self) -> int:
        # It is asked for some twenty times in each run, and that of a UUID takes as long again.
        return hash((self.domain, self.uuid.int))

    def __str__(self) -> str:
        return f"{self.domain}/{self.uuid_text}"


@dataclass(frozen=True, slots=True)
class Program:
    """An active routine or webhook with its newest signed revision: what would run now."""

    key: ProgramKey
    name: str
    type: ProgramType
    schedule: str
    deadline_ms: int
    language: str
    revision: int
    checksum: bytes
    tags: tuple[str, ...] = ()
    code: bytes = field(default=b"", repr=False)
    digest: bytes = field(default=b"", repr=False)
    """SHA-256 of the code that is here; ``checksum`` is what its database says."""

    effective_deadline_ms: int = field(init=False, repr=False, compare=False)
    """The deadline within what the contract allows; 0 asks for the longest."""

    def __post_init__(self) -> None:
        deadline_ms = min(max(self.deadline_ms, 0), MAX_DEADLINE_MS) or MAX_DEADLINE_MS
        object.__setattr__(self, "effective_deadline_ms", deadline_ms)


Programs = Mapping[UUID, Program]


@dataclass(frozen=True, slots=True)
class Changes:
    """The difference between two readings of a domain."""

    added: tuple[Program, ...] = ()
    changed: tuple[Program, ...] = ()
    removed: tuple[Program, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


def diff(old: Programs, new: Programs) -> Changes:
    """What it takes to get from ``old`` to ``new``. A program whose code or specification differs is changed."""
    return Changes(
        added=tuple(program for uuid, program in new.items() if uuid not in old),
        changed=tuple(
            program
            for uuid, program in new.items()
            if uuid in old and old[uuid] is not program and old[uuid] != program
        ),
        removed=tuple(program for uuid, program in old.items() if uuid not in new),
    )

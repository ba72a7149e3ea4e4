"""What goes into one transaction of the record, and who waits for it."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import Self

from juvuln.runs.rows import Row


@dataclass(slots=True)
class Claim:
    """Rows that wait to be written, and who waits for it."""

    rows: list[Row]
    answer: "asyncio.Future[set[str]]"

    def succeed(self, added: set[str]) -> None:
        if not self.answer.done():
            self.answer.set_result({row.id for row in self.rows} & added)

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


@dataclass(slots=True)
class Batch:
    claims: list[Claim] = field(default_factory=list)
    endings: list[Row] = field(default_factory=list)
    owed: list[Row] = field(default_factory=list)
    """Rows of claims that nobody waits for: that were in doubt, or stand in the file of pending rows."""
    in_doubt: bool = False
    """Whether it may be committed, though that failed."""

    def come_into_doubt(self) -> None:
        self.in_doubt = True

    def __len__(self) -> int:
        return sum(len(claim.rows) for claim in self.claims) + len(self.endings) + len(self.owed)

    def parts(self) -> "list[Batch]":
        """What can be written by itself, in the order in which it goes into the transaction."""
        return [
            *(Batch(owed=[row]) for row in self.owed),
            *(Batch(claims=[claim]) for claim in self.claims),
            *(Batch(endings=[ending]) for ending in self.endings),
        ]

    def portions(self, room_bytes: int) -> "list[Batch]":
        """What goes into transactions of their own: each with no more text than that, or a single part that has more.

        In the order in which they are to be written.
        """
        if self._text_bytes() <= room_bytes:
            return [self]
        portions: list[list[Batch]] = [[]]
        used_bytes = 0
        for part in self.parts():
            part_bytes = part._text_bytes()
            if portions[-1] and used_bytes + part_bytes > room_bytes:
                portions.append([])
                used_bytes = 0
            portions[-1].append(part)
            used_bytes += part_bytes
        return [Batch.of(parts) for parts in portions]

    def _text_bytes(self) -> int:
        """Of the rows that may have long text: what a claim has is short."""
        return sum(row.text_bytes for row in chain(self.owed, self.endings))

    @classmethod
    def of(cls, parts: "Iterable[Batch]") -> Self:
        """All of them in one."""
        whole = cls()
        for part in parts:
            whole.owed += part.owed
            whole.claims += part.claims
            whole.endings += part.endings
        return whole

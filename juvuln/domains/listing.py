"""The order in which a domain's programs are listed, and the query for those that come after one of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, case, exists, func, literal, select, type_coerce

from juvuln.domains.tables import programs

SORTED_CHARACTERS = 255
"""How much of a name decides where its program stands: all of it, unless somebody else wrote a longer one."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a program stands in the order of all programs: by name, character by character, and then by uuid."""

    name: str
    uuid: UUID

    @property
    def sort_name(self) -> str:
        return self.name[:SORTED_CHARACTERS]


def in_order(dialect: str, after: Position | None, tags: Iterable[str], name: str | None) -> Select[Any]:
    """The programs after ``after`` that have one of ``tags``, and that name; without either, all of them."""
    # The order of the database's own language is another in each, and may change with its system.
    key = func.substr(programs.c.name, 1, SORTED_CHARACTERS).collate("BINARY" if dialect == "sqlite" else "C")
    query = select(programs).order_by(key, programs.c.uuid)
    if after is not None:
        same_key = (key == after.sort_name) & (programs.c.uuid > after.uuid)
        query = query.where((key > after.sort_name) | same_key)
    if wanted := sorted(tags):
        query = query.where(_has_one_of(dialect, wanted))
    if name is not None:
        query = query.where(programs.c.name == name)
    return query


def _has_one_of(dialect: str, tags: list[str]) -> ColumnElement[bool]:
    if dialect != "sqlite":
        column = programs.c.tags
        overlap: ColumnElement[bool] = column.op("&&", is_comparison=True)(literal(tags, column.type))
        return overlap
    stored = type_coerce(programs.c.tags, Text)
    each = func.json_each(case((func.json_valid(stored) == 1, stored), else_="[]")).table_valued("value")
    return exists(select(each.c.value).where(each.c.value.in_(tags)))

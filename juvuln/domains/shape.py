"""What is in a domain's database: which of the tables, with which columns, and who made them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Column, Connection, MetaData, Table, Text, inspect

from juvuln.async_engine import AsyncConnection
from juvuln.database import UtcDateTime
from juvuln.domains.tables import metadata

own_metadata = MetaData()

domain_mark = Table(
    "juvuln_domain",
    own_metadata,
    Column("name", Text, primary_key=True),
    Column("made", UtcDateTime, nullable=False),
)
"""A domain that has this table was made by juvuln and is ours to complete; all others are never altered."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The tables of a domain that are there, each with the names of its columns."""

    columns: Mapping[str, frozenset[str]]
    ours: bool

    @property
    def is_empty(self) -> bool:
        return not self.columns and not self.ours

    def faults(self) -> Sequence[str]:
        """What keeps this from being a complete domain; nothing if it is one."""
        found = []
        for table in metadata.sorted_tables:
            columns = self.columns.get(table.name)
            if columns is None:
                found.append(f"there is no table {table.name}")
            else:
                missing = [column.name for column in table.c if column.name not in columns]
                found += [f"table {table.name} has no column {name}" for name in missing]
        return found


async def shape_of(connection: AsyncConnection) -> Shape:
    return await connection.run_sync(_inspect)


def _inspect(connection: Connection) -> Shape:
    inspector = inspect(connection)
    there = set(inspector.get_table_names()) | set(inspector.get_view_names())
    return Shape(
        columns={
            name: frozenset(column["name"] for column in inspector.get_columns(name))
            for name in metadata.tables
            if name in there
        },
        ours=domain_mark.name in there,
    )

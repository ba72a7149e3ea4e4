"""INSERT with ON CONFLICT, which SQLAlchemy has for each database apart."""

from typing import TYPE_CHECKING

from sqlalchemy import Dialect, Table

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite


def insert_or(dialect: Dialect, table: Table) -> "postgresql.Insert | sqlite.Insert":
    """An INSERT that can be told what to do where there is such a row: ``on_conflict_do_nothing`` and so on."""
    # Only what is for the database in use: what there is for the other would stay in memory for nothing.
    if dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)

"""Bring the record's database to the form that this version needs.

A new record is made in that form at once. Only one that an earlier version made takes the migrations, and with them
Alembic: a tenth of a second and seven megabytes, which are needed once in a version's life.
"""

from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, insert, inspect, select

from juvuln.async_engine import AsyncEngine
from juvuln.database import transaction
from juvuln.runs.tables import PARTIAL_INDEXES, metadata
from shared.errors import StartError

MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "juvuln_version"
"""Holds the last migration that was applied. Of our own name: the database may be shared with other programs."""

_version = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True))
"""As Alembic makes it."""


async def migrate(engine: AsyncEngine, what: str) -> None:
    """Make the record, or apply the migrations that it lacks: all or nothing.

    Raises DatabaseError; StartError if a later version made the record.
    """
    async with transaction(engine, what) as connection:
        await connection.run_sync(_migrate)


def _migrate(connection: Connection) -> None:
    applied, newest = _applied(connection), _newest()
    if applied == newest:
        return
    if applied is not None and applied > newest:
        raise StartError(f"the record of runs was made by a later version of juvuln ({applied}); this knows {newest}")
    if connection.dialect.name == "sqlite":
        # Its driver begins a transaction for rows alone. Half a record could not be told from somebody else's tables,
        # and half a migration could neither be ended nor begun again.
        connection.exec_driver_sql("BEGIN")
    if applied is None:
        _create(connection, newest)
    else:
        _upgrade(connection)


def _applied(connection: Connection) -> str | None:
    """The last migration that was applied, by its number."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(select(_version.c.version_num)).scalar()


def _newest() -> str:
    """The last migration that there is; their files begin with their numbers."""
    return max(path.name for path in (MIGRATIONS / "versions").glob("[0-9]*.py")).partition("_")[0]


def _create(connection: Connection, version: str) -> None:
    metadata.create_all(connection, checkfirst=False)
    for name, rows in PARTIAL_INDEXES.items():
        connection.exec_driver_sql(f"CREATE INDEX {name} ON {rows}")
    _version.create(connection)
    connection.execute(insert(_version).values(version_num=version))


def _upgrade(connection: Connection, to: str = "head") -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, to)

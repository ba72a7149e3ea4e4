"""Bring the record's database to the form that this version needs."""

from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from juvuln.database import transaction
from shared.errors import StartError

MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "juvuln_version"
"""Holds the last migration that was applied. Of our own name: the database may be shared with other programs."""


async def migrate(engine: AsyncEngine, what: str) -> None:
    """Apply the migrations that are missing. Raises DatabaseError; StartError if a later version made the record."""
    async with transaction(engine, what) as connection:
        await connection.run_sync(_migrate)


def _migrate(connection: Connection) -> None:
    applied, newest = _applied(connection), _newest()
    if applied is not None and applied > newest:
        raise StartError(f"the record of runs was made by a later version of juvuln ({applied}); this knows {newest}")
    if applied != newest:
        _upgrade(connection)


def _applied(connection: Connection) -> str | None:
    """The last migration that was applied, by its number."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - a constant


def _newest() -> str:
    """The last migration that there is; their files begin with their numbers."""
    return max(path.name for path in (MIGRATIONS / "versions").glob("[0-9]*.py")).partition("_")[0]


def _upgrade(connection: Connection, to: str = "head") -> None:
    # Alembic takes a tenth of a second and ten megabytes, and is needed once in a version's life.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, to)

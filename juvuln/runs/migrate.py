"""Bring the record's database to the form that this version needs."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from juvuln.database import transaction

MIGRATIONS = Path(__file__).parent / "migrations"


async def migrate(engine: AsyncEngine, what: str) -> None:
    """Apply the migrations that are missing. Raises DatabaseError."""
    async with transaction(engine, what) as connection:
        await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")

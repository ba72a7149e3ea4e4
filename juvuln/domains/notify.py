"""A domain that tells at once when its programs change: a trigger in PostgreSQL, for domains that are ours.

The trigger sends a notification without content; what changed is found by reading. It fires once for each statement.
"""

from sqlalchemy import text

from juvuln.async_engine import AsyncConnection, AsyncEngine
from juvuln.database import transaction

CHANNEL = "selfhost_programs"
TRIGGER = "selfhost_programs_changed"
TABLES = ("programs", "program_code_revisions")

_FUNCTION = f"""
CREATE OR REPLACE FUNCTION {TRIGGER}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('{CHANNEL}', '');
    RETURN NULL;
END
$$
"""

_INSTALLED = text(
    "SELECT count(*) FROM pg_trigger WHERE tgname = :trigger AND tgenabled IN ('O', 'A')"
    " AND tgrelid IN (to_regclass('programs'), to_regclass('program_code_revisions'))"
)


async def install(engine: AsyncEngine) -> None:
    """Install the trigger in a PostgreSQL domain; where it is there already it is made anew.

    Raises DatabaseError, for instance where the user may not change the tables.
    """
    async with transaction(engine, "the trigger that tells of changed programs") as connection:
        await connection.execute(text(_FUNCTION))
        for table in TABLES:
            # PostgreSQL replaces triggers in one step since version 14 only.
            await connection.execute(text(f"DROP TRIGGER IF EXISTS {TRIGGER} ON {table}"))
            await connection.execute(
                text(
                    f"CREATE TRIGGER {TRIGGER} AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table}"
                    f" FOR EACH STATEMENT EXECUTE FUNCTION {TRIGGER}()"
                )
            )


async def is_installed(connection: AsyncConnection) -> bool:
    """Whether the domain behind ``connection`` tells of its changes; one on SQLite never does."""
    if connection.dialect.name != "postgresql":
        return False
    found: int = (await connection.execute(_INSTALLED, {"trigger": TRIGGER})).scalar_one()
    return found == len(TABLES)

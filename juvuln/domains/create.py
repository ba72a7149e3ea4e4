"""A fresh domain: the tables and the user `root`, as the Self-host contract describes them."""

from datetime import datetime
from uuid import UUID, uuid5

from sqlalchemy import insert, literal_column, select

from juvuln.async_engine import AsyncConnection, AsyncEngine
from juvuln.database import transaction
from juvuln.domains.shape import Shape, domain_mark, own_metadata, shape_of
from juvuln.domains.tables import ACTIONS, group_policies, groups, metadata, user_groups, user_tokens, users
from shared.auth import sha256
from shared.errors import SelfhostError

ROOT_UUID = UUID("00000000-0000-1000-8000-000000000000")
PUBLIC_TOKEN = "root"  # noqa: S105 - the contract's, known to everybody
ADVISORY_LOCK = 0x6A7576756C6E
"""Two that make the same domain at the same time take turns."""


class NotOursError(SelfhostError):
    """A database in which we change nothing: others have made what is there."""


async def create_domain(engine: AsyncEngine, name: str, at: datetime, token: str = PUBLIC_TOKEN) -> bool:
    """Make the tables that are missing and, in an empty domain, the user `root` with its token.

    Says whether something was made: nothing is, in a domain that is complete already. Raises NotOursError, with
    nothing changed, where tables of these names are there that neither we made nor are all that a domain has.
    """
    async with transaction(engine, f"database of domain {name}") as connection:
        await _take_turns(connection)
        shape = await shape_of(connection)
        if not shape.is_empty and not shape.ours:
            _require_complete(name, shape)
            return False
        await connection.run_sync(own_metadata.create_all)
        await connection.run_sync(metadata.create_all)
        if not (await connection.execute(select(domain_mark.c.name).limit(1))).first():
            await connection.execute(insert(domain_mark).values(name=name, made=at))
        if (await connection.execute(select(users.c.uuid).limit(1))).first():
            return bool(shape.faults())
        await _create_root(connection, at, token)
        return True


async def require_ours(engine: AsyncEngine, name: str) -> None:
    """Raises NotOursError for a domain that we did not make."""
    async with transaction(engine, f"database of domain {name}") as connection:
        if not (await shape_of(connection)).ours:
            raise NotOursError(f"domain {name} was not made by juvuln, so its tables are not altered")


async def _take_turns(connection: AsyncConnection) -> None:
    if connection.dialect.name == "postgresql":
        await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")
    else:
        # The driver would begin no transaction for making tables.
        await connection.exec_driver_sql("BEGIN IMMEDIATE")


def _require_complete(name: str, shape: Shape) -> None:
    if faults := shape.faults():
        there = ", ".join(sorted(shape.columns))
        raise NotOursError(
            f"the database for domain {name} holds tables that juvuln did not make ({there}) and that are not a whole "
            f"Self-host domain: {faults[0]}; nothing was changed, choose an empty database"
        )


async def _create_root(connection: AsyncConnection, at: datetime, token: str) -> None:
    await connection.execute(insert(users).values(uuid=ROOT_UUID, name="root", state="active"))
    await connection.execute(insert(groups).values(uuid=ROOT_UUID, name="root"))
    await connection.execute(insert(user_groups).values(user_uuid=ROOT_UUID, group_uuid=ROOT_UUID))
    await connection.execute(
        insert(user_tokens).values(
            uuid=ROOT_UUID, user_uuid=ROOT_UUID, name="root", token_hash=sha256(token), created=at
        )
    )
    for action in ACTIONS:
        await connection.execute(
            insert(group_policies).values(
                uuid=uuid5(ROOT_UUID, action),
                group_uuid=ROOT_UUID,
                priority=0,
                effect=literal_column("'allow'"),
                action=literal_column(f"'{action}'"),
                resource="%",
            )
        )

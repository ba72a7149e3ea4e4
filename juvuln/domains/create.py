"""A fresh domain: the tables and the user `root`, as the Self-host contract describes them."""

from datetime import datetime
from uuid import UUID, uuid5

from sqlalchemy import insert, literal_column, select
from sqlalchemy.ext.asyncio import AsyncEngine

from juvuln.database import transaction
from juvuln.domains.tables import ACTIONS, group_policies, groups, metadata, user_groups, user_tokens, users
from shared.auth import sha256

ROOT_UUID = UUID("00000000-0000-1000-8000-000000000000")


async def create_domain(engine: AsyncEngine, name: str, at: datetime) -> None:
    """Make the tables that are missing and, in an empty domain, the user `root` with the token `root`."""
    async with transaction(engine, f"database of domain {name}") as connection:
        await connection.run_sync(metadata.create_all)
        if (await connection.execute(select(users.c.uuid).limit(1))).first():
            return
        await connection.execute(insert(users).values(uuid=ROOT_UUID, name="root", state="active"))
        await connection.execute(insert(groups).values(uuid=ROOT_UUID, name="root"))
        await connection.execute(insert(user_groups).values(user_uuid=ROOT_UUID, group_uuid=ROOT_UUID))
        await connection.execute(
            insert(user_tokens).values(
                uuid=ROOT_UUID, user_uuid=ROOT_UUID, name="root", token_hash=sha256("root"), created=at
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

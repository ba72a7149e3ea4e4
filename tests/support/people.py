"""Users of a domain, written as the Go API server does: each with a group of its own, of the same uuid and name."""

from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import delete, insert, literal_column

from juvuln.database import transaction
from juvuln.domains.tables import group_policies, groups, user_groups, user_tokens, users
from shared.auth import sha256
from tests.support.installation import Domain

Rule = tuple[str, str, str]
"""Effect, action, resource."""


async def add_user(domain: Domain, name: str, rules: Iterable[Rule] = (), *, own_group: bool = True) -> UUID:
    """A user whose token is called as the user is; gives the uuid, which is that of the own group too."""
    uuid = uuid4()
    async with transaction(domain.store._engine, "people") as connection:
        await connection.execute(insert(users).values(uuid=uuid, name=name, state=literal_column("'active'")))
        await connection.execute(
            insert(user_tokens).values(
                uuid=uuid4(), user_uuid=uuid, name=name, token_hash=sha256(name), created=datetime.now(UTC)
            )
        )
    if own_group:
        await add_group(domain, uuid, name, [uuid], rules)
    return uuid


async def add_group(domain: Domain, uuid: UUID, name: str, members: Iterable[UUID], rules: Iterable[Rule]) -> None:
    async with transaction(domain.store._engine, "people") as connection:
        await connection.execute(insert(groups).values(uuid=uuid, name=name))
        for member in members:
            await connection.execute(insert(user_groups).values(user_uuid=member, group_uuid=uuid))
    for rule in rules:
        await add_rule(domain, uuid, *rule)


async def add_rule(domain: Domain, group: UUID, effect: str, action: str, resource: str, *, priority: int = 0) -> None:
    async with transaction(domain.store._engine, "people") as connection:
        await connection.execute(
            insert(group_policies).values(
                uuid=uuid4(),
                group_uuid=group,
                priority=priority,
                effect=literal_column(f"'{effect}'"),
                action=literal_column(f"'{action}'"),
                resource=resource,
            )
        )


async def forget(domain: Domain, what: str, user: UUID) -> None:
    """Take the tokens, the memberships or the user itself away."""
    table, column = {
        "tokens": (user_tokens, user_tokens.c.user_uuid),
        "memberships": (user_groups, user_groups.c.user_uuid),
        "user": (users, users.c.uuid),
    }[what]
    async with transaction(domain.store._engine, "people") as connection:
        await connection.execute(delete(table).where(column == user))

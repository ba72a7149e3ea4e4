"""A look at domains from outside the daemon: are their databases there, and is all in them that there should be?"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from juvuln.async_engine import AsyncConnection
from juvuln.database import DatabaseError, database_kind, database_place, open_engine, transaction
from juvuln.domains.create import PUBLIC_TOKEN
from juvuln.domains.shape import shape_of
from juvuln.domains.tables import metadata, programs, user_tokens, users
from shared.auth import sha256

TIMEOUT_SECONDS = 15.0
PARALLEL = 8


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of a domain."""

    name: str
    kind: str
    """postgresql or sqlite"""
    place: str
    """Where its database is, without credentials."""
    reachable: bool
    faults: Sequence[str] = ()
    """What keeps its programs from running, or everybody from calling them."""
    remarks: Sequence[str] = ()
    programs: int | None = None
    """How many there are, of all types and states; None if they cannot be counted."""


async def check_domains(urls: Mapping[str, str]) -> Sequence[Finding]:
    """Look at domains side by side, by name and URL; each URL has to be a good one."""
    turns = asyncio.Semaphore(PARALLEL)

    async def check(name: str, url: str) -> Finding:
        async with turns:
            return await check_domain(name, url)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(check(name, url)) for name, url in urls.items()]
    return [task.result() for task in tasks]


async def check_domain(name: str, url: str) -> Finding:
    """Connect to a domain's database and look. What goes wrong is in the finding."""
    kind, place = database_kind(url), database_place(url)
    engine, reachable = open_engine(url), False
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS), transaction(engine, name) as connection:
            reachable = True
            return await _look(connection, name, kind, place)
    except TimeoutError:
        reason = f"did not answer within {TIMEOUT_SECONDS:g} s"
    except DatabaseError as error:
        reason = error.reason
    finally:
        await engine.dispose()
    return Finding(name, kind, place, reachable, faults=[reason])


async def _look(connection: AsyncConnection, name: str, kind: str, place: str) -> Finding:
    faults = (await shape_of(connection)).faults()
    if faults:
        return Finding(name, kind, place, reachable=True, faults=faults)
    for table in metadata.sorted_tables:
        # Whoever may not read one of them is told by the database, and so are we.
        await connection.execute(select(table).limit(0))
    count = (await connection.execute(select(func.count()).select_from(programs))).scalar_one()
    faults, remarks = await _look_for_root(connection)
    return Finding(name, kind, place, reachable=True, faults=faults, remarks=remarks, programs=count)


async def _look_for_root(connection: AsyncConnection) -> tuple[Sequence[str], Sequence[str]]:
    root = (await connection.execute(select(users.c.uuid).where(users.c.name == "root"))).first()
    if root is None:
        return ["there is no user root"], []
    hashes = await connection.execute(select(user_tokens.c.token_hash).where(user_tokens.c.user_uuid == root.uuid))
    tokens = {bytes(row.token_hash) for row in hashes}
    if not tokens:
        return ["the user root has no token"], []
    if sha256(PUBLIC_TOKEN) in tokens:
        return [], ["the token of the user root is `root`, which everybody knows"]
    return [], []

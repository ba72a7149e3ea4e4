"""Whether anything changed in a domain: one query whose answer is another after every change of its programs.

A Self-host database has no triggers and no times of change, and its tables are not ours to alter. So all rows that
matter are gone over in the server: the specification of every program, modules and inactive ones too, and of every
revision its existence, signature and checksum. The code itself stays untouched.
"""

import hashlib

from sqlalchemy import text

from juvuln.async_engine import AsyncConnection
from juvuln.domains.tables import programs, revisions

PROGRAM_COLUMNS = [column.name for column in programs.c]
REVISION_COLUMNS = ["program_uuid", "revision", "signed", "signed_by", "checksum"]


async def read_fingerprint(connection: AsyncConnection) -> str:
    """The fingerprint (at most 64 characters) of all programs and revisions in the domain behind ``connection``."""
    if connection.dialect.name == "postgresql":
        fingerprint: str = (await connection.execute(_POSTGRESQL)).scalar_one()
        return fingerprint
    return await _read_sqlite(connection)


async def _read_sqlite(connection: AsyncConnection) -> str:
    """SQLite hashes nothing, but tells each connection whether the file was changed, by others or by itself."""
    version = tuple((await connection.execute(_SQLITE_VERSION)).one())
    known: tuple[tuple[int, ...], str] | None = connection.info.get("fingerprint")
    if known is not None and known[0] == version:
        return known[1]
    rows = (await connection.execute(_SQLITE)).one()
    fingerprint = hashlib.sha256("\n".join(rows).encode()).hexdigest()
    connection.info["fingerprint"] = version, fingerprint
    return fingerprint


def _postgresql_rows(table: str, columns: list[str], order: str) -> str:
    # A row as text tells NULL from the empty text. Each row's own hash keeps short what is gathered.
    row = f"md5(ROW({', '.join(columns)})::text)"
    return f"coalesce((SELECT string_agg({row}, '' ORDER BY {order}) FROM {table}), '')"  # noqa: S608 - our own names


def _sqlite_rows(table: str, columns: list[str], order: str) -> str:
    row = " || ',' || ".join(f"quote({column})" for column in columns)
    ordered = f"SELECT {row} AS line FROM {table} ORDER BY {order}"  # noqa: S608 - our own names
    return f"coalesce((SELECT group_concat(line, ';') FROM ({ordered})), '')"  # noqa: S608 - our own names


_POSTGRESQL = text(
    f"SELECT md5({_postgresql_rows(programs.name, PROGRAM_COLUMNS, 'uuid')} || '/' ||"
    f" {_postgresql_rows(revisions.name, REVISION_COLUMNS, 'program_uuid, revision')})"
)
_SQLITE = text(
    f"SELECT {_sqlite_rows(programs.name, PROGRAM_COLUMNS, 'uuid')},"
    f" {_sqlite_rows(revisions.name, REVISION_COLUMNS, 'program_uuid, revision')}"
)
_SQLITE_VERSION = text("SELECT data_version, total_changes() FROM pragma_data_version")

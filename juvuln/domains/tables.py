"""The tables of a domain's database that matter here (Self-host contract). They are read and filled, never migrated.

What may be NULL is what the Go API server's own tables leave open, too.
"""

from sqlalchemy import (
    Column,
    Enum,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from juvuln.database import UtcDateTime
from juvuln.domains.columns import StoredTags, StoredUuid

metadata = MetaData()

EFFECTS = ("allow", "deny")
ACTIONS = ("create", "read", "update", "delete")

programs = Table(
    "programs",
    metadata,
    Column("uuid", StoredUuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("schedule", Text, nullable=False),
    Column("deadline", Integer, nullable=False),
    Column("language", Text, nullable=False),
    Column("tags", StoredTags, nullable=False),
)

revisions = Table(
    "program_code_revisions",
    metadata,
    Column("program_uuid", StoredUuid, ForeignKey("programs.uuid", ondelete="CASCADE"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("created_by", StoredUuid),
    Column("signed", UtcDateTime),
    Column("signed_by", StoredUuid),
    Column("code", LargeBinary),
    Column("checksum", LargeBinary),
    PrimaryKeyConstraint("program_uuid", "revision"),
)

users = Table(
    "users",
    metadata,
    Column("uuid", StoredUuid, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("state", Text, nullable=False),
)

user_tokens = Table(
    "user_tokens",
    metadata,
    Column("uuid", StoredUuid, primary_key=True),
    Column("user_uuid", StoredUuid, ForeignKey("users.uuid", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("token_hash", LargeBinary, nullable=False),
    Column("created", UtcDateTime, nullable=False),
)

groups = Table(
    "groups",
    metadata,
    Column("uuid", StoredUuid, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
)

user_groups = Table(
    "user_groups",
    metadata,
    Column("user_uuid", StoredUuid, ForeignKey("users.uuid", ondelete="CASCADE"), nullable=False),
    Column("group_uuid", StoredUuid, ForeignKey("groups.uuid", ondelete="CASCADE"), nullable=False),
    PrimaryKeyConstraint("user_uuid", "group_uuid"),
)

group_policies = Table(
    "group_policies",
    metadata,
    Column("uuid", StoredUuid, primary_key=True),
    Column("group_uuid", StoredUuid, ForeignKey("groups.uuid", ondelete="CASCADE"), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("effect", Enum(*EFFECTS, name="policy_effect"), nullable=False),
    Column("action", Enum(*ACTIONS, name="policy_action"), nullable=False),
    Column("resource", Text, nullable=False),
    UniqueConstraint("group_uuid", "priority", "effect", "action", "resource"),
)

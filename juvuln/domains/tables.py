"""The tables of a domain's database that matter here (Self-host contract). They are read and filled, never migrated."""

from sqlalchemy import (
    ARRAY,
    JSON,
    Column,
    Enum,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
)

from juvuln.database import UtcDateTime

metadata = MetaData()

EFFECTS = ("allow", "deny")
ACTIONS = ("create", "read", "update", "delete")

programs = Table(
    "programs",
    metadata,
    Column("uuid", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("schedule", Text, nullable=False),
    Column("deadline", Integer, nullable=False),
    Column("language", Text, nullable=False),
    Column("tags", ARRAY(Text).with_variant(JSON(), "sqlite"), nullable=False),
)

revisions = Table(
    "program_code_revisions",
    metadata,
    Column("program_uuid", Uuid, ForeignKey("programs.uuid", ondelete="CASCADE"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("created_by", Uuid, nullable=False),
    Column("signed", UtcDateTime),
    Column("signed_by", Uuid),
    Column("code", LargeBinary, nullable=False),
    Column("checksum", LargeBinary, nullable=False),
    PrimaryKeyConstraint("program_uuid", "revision"),
)

users = Table(
    "users",
    metadata,
    Column("uuid", Uuid, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("state", Text, nullable=False),
)

user_tokens = Table(
    "user_tokens",
    metadata,
    Column("uuid", Uuid, primary_key=True),
    Column("user_uuid", Uuid, ForeignKey("users.uuid", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("token_hash", LargeBinary, nullable=False),
    Column("created", UtcDateTime, nullable=False),
)

groups = Table(
    "groups",
    metadata,
    Column("uuid", Uuid, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
)

user_groups = Table(
    "user_groups",
    metadata,
    Column("user_uuid", Uuid, ForeignKey("users.uuid", ondelete="CASCADE"), nullable=False),
    Column("group_uuid", Uuid, ForeignKey("groups.uuid", ondelete="CASCADE"), nullable=False),
    PrimaryKeyConstraint("user_uuid", "group_uuid"),
)

group_policies = Table(
    "group_policies",
    metadata,
    Column("uuid", Uuid, primary_key=True),
    Column("group_uuid", Uuid, ForeignKey("groups.uuid", ondelete="CASCADE"), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("effect", Enum(*EFFECTS, name="policy_effect"), nullable=False),
    Column("action", Enum(*ACTIONS, name="policy_action"), nullable=False),
    Column("resource", Text, nullable=False),
)

"""The tables of the record. Their changes are Alembic migrations, beside this file."""

from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, Table, Text, UniqueConstraint

WHAT = "record of runs"
"""What they are together, for people."""

metadata = MetaData()


runs = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("domain", Text, nullable=False),
    Column("program_uuid", Text, nullable=False),
    Column("program_name", Text, nullable=False),
    Column("trigger", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("deadline_ms", Integer, nullable=False),
    Column("manager", Text, nullable=False),
    Column("due_ms", BigInteger),
    # Of due times that were missed together: the first. The row is under the last of them.
    Column("first_due_ms", BigInteger),
    Column("claimed_ms", BigInteger, nullable=False),
    Column("started_ms", BigInteger),
    Column("ended_ms", BigInteger),
    Column("outcome", Text),
    Column("reason", Text),
    Column("duration_ms", Float),
    Column("worker", Text),
    Column("error", Text),
    Column("log", Text),
    Column("modules", Text),
    Column("request_bytes", Integer),
    Column("answer_bytes", Integer),
    Column("answer_status", Integer),
    Column("attempts", Integer),
    # No due time is claimed twice. Runs without a due time (of webhooks, or by hand) are not held apart by it: NULLs
    # are distinct.
    UniqueConstraint("domain", "program_uuid", "due_ms", name="uq_runs_due"),
    Index("ix_runs_program", "domain", "program_uuid", "id"),
    Index("ix_runs_domain", "domain", "id"),
)

PARTIAL_INDEXES = {
    "ix_runs_program_failed": "runs (domain, program_uuid, id) WHERE outcome <> 'succeeded'",
    "ix_runs_ended": "runs (ended_ms) WHERE ended_ms IS NOT NULL",
    "ix_runs_open": "runs (manager) WHERE outcome IS NULL",
}
"""Of some rows only: each index that a run is in costs its claim and its ending about as much as the run's row.

Both databases understand the same words. SQLAlchemy's own way has them once for each, and loads what it has for both.
"""

routines = Table(
    "routines",
    metadata,
    Column("domain", Text, primary_key=True),
    Column("program_uuid", Text, primary_key=True),
    Column("schedule", Text, nullable=False),
    # Nothing that was due before is looked for.
    Column("since_ms", BigInteger, nullable=False),
)

paused_domains = Table(
    "paused_domains",
    metadata,
    Column("domain", Text, primary_key=True),
    Column("since_ms", BigInteger, nullable=False),
)

managers = Table(
    "managers",
    metadata,
    Column("name", Text, primary_key=True),
    # Another one after each start.
    Column("life", Text, nullable=False),
    # Changes for as long as it is there.
    Column("beats", BigInteger, nullable=False),
)

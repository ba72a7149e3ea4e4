"""The record of runs."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("domain", sa.Text, nullable=False),
        sa.Column("program_uuid", sa.Text, nullable=False),
        sa.Column("program_name", sa.Text, nullable=False),
        sa.Column("trigger", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("deadline_ms", sa.Integer, nullable=False),
        sa.Column("manager", sa.Text, nullable=False),
        sa.Column("due_ms", sa.BigInteger),
        sa.Column("claimed_ms", sa.BigInteger, nullable=False),
        sa.Column("started_ms", sa.BigInteger),
        sa.Column("ended_ms", sa.BigInteger),
        sa.Column("outcome", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("duration_ms", sa.Float),
        sa.Column("worker", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("log", sa.Text),
        sa.Column("modules", sa.Text),
        sa.Column("request_bytes", sa.Integer),
        sa.Column("answer_bytes", sa.Integer),
        sa.UniqueConstraint("domain", "program_uuid", "due_ms", name="uq_runs_due"),
    )
    op.create_index("ix_runs_program", "runs", ["domain", "program_uuid", "id"])
    op.create_index("ix_runs_domain", "runs", ["domain", "id"])
    op.create_index("ix_runs_ended", "runs", ["ended_ms"])
    is_open = sa.text("outcome IS NULL")
    op.create_index("ix_runs_open", "runs", ["manager"], postgresql_where=is_open, sqlite_where=is_open)

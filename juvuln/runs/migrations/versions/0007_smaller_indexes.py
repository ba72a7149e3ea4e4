"""Indexes that runs under way and runs that succeeded are not in, where nobody looks for these: most runs are such."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    has_ended = sa.text("ended_ms IS NOT NULL")
    op.drop_index("ix_runs_ended", "runs")
    op.create_index("ix_runs_ended", "runs", ["ended_ms"], postgresql_where=has_ended, sqlite_where=has_ended)
    failed = sa.text("outcome <> 'succeeded'")
    op.drop_index("ix_runs_program_outcome", "runs")
    op.create_index(
        "ix_runs_program_failed",
        "runs",
        ["domain", "program_uuid", "id"],
        postgresql_where=failed,
        sqlite_where=failed,
    )

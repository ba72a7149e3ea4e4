"""What a webhook answered and how often a run was started; runs of a program by outcome."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("runs", sa.Column("answer_status", sa.Integer))
    op.add_column("runs", sa.Column("attempts", sa.Integer))
    op.create_index("ix_runs_program_outcome", "runs", ["domain", "program_uuid", "outcome", "id"])

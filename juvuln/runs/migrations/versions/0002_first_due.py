"""Of due times that were missed together, the first."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("runs", sa.Column("first_due_ms", sa.BigInteger))

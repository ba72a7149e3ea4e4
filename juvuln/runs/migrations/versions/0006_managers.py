"""The managers that share the record."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "managers",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("life", sa.Text, nullable=False),
        sa.Column("beats", sa.BigInteger, nullable=False),
    )

"""Alembic's entry point: runs the migrations on the connection that juvuln hands it."""

from alembic import context

from juvuln.runs.migrate import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"], version_table=VERSION_TABLE, transaction_per_migration=True
)
with context.begin_transaction():
    context.run_migrations()

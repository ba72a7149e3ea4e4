"""Alembic migrations of the record of runs; applied when the manager starts."""

"""Migrations of the store, run by Alembic when the runtime starts."""

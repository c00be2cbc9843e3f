"""Migrations of the database, run by Alembic under an advisory lock."""

"""Accounting in the schema."""

"""Captured documents, and what was read in them, in the schema."""

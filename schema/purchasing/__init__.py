"""Purchasing in the schema."""

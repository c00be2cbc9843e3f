"""Valuation in the schema."""

"""Currencies and units in the schema."""

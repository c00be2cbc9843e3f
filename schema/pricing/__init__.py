"""Prices and price lists in the schema."""

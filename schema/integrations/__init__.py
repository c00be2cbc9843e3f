"""Connectors, runs and contracts in the schema."""

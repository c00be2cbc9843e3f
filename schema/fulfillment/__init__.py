"""Fulfillment in the schema."""

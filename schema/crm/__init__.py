"""Opportunities and activities in the schema."""

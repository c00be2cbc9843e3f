"""Search in the schema."""

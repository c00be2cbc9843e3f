"""Sales orders in the schema."""

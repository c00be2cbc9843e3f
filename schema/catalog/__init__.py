"""Categories and products in the schema."""

"""The stream of all changes in the schema."""

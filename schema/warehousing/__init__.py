"""GraphQL types of transfers and counts."""

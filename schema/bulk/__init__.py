"""GraphQL types of upserts."""

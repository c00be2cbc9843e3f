"""GraphQL types of returns."""

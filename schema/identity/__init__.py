"""The caller, companies, users and API clients in the schema."""

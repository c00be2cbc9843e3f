"""Tools that clients use, run against the schema and a server: `python -m tests.clients`."""

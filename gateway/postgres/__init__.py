"""The embedded PostgreSQL of demo, development and tests: start, share, heal, stop."""

from gateway.postgres.installation import EmbeddedPostgresError
from gateway.postgres.server import EmbeddedPostgres, ServerState, inspect, stop_unused

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError", "ServerState", "inspect", "stop_unused"]

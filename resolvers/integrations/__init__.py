"""Connectors to other systems, their runs, and the contracts they bring."""

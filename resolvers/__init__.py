"""Reads and writes of the ERP: SQL and rules, no GraphQL, no HTTP."""

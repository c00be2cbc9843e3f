"""Webhooks: changes leave the process, signed, in order, to addresses that are allowed."""

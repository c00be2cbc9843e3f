"""Search over everything that has a name or a number."""

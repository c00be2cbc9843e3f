"""Sales orders and their lines."""

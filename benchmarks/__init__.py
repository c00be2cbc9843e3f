"""What the gateway costs, next to the same answers made by hand. See README.md."""

"""Other servers over the same database, to be measured beside the gateway."""

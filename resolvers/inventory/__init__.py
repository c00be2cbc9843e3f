"""Stock: warehouses, levels, balances, the ledger of moves, reservations."""

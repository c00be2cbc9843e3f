"""Purchase orders, goods receipts, and what suppliers offer."""

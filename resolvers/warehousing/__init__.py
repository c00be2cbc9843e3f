"""Work in and between warehouses: goods that are transferred, places that are counted."""

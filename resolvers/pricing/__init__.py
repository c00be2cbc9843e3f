"""Price lists and the price a partner pays."""

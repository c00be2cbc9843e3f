"""What a quantity may be, as `resolvers.core.table.quantity` keeps it."""

from decimal import Decimal
from typing import Final

from resolvers.core.errors import Invalid

QUANTITY_STEP: Final = Decimal("0.0001")
"""Quantities have four decimals."""
LARGEST_QUANTITY: Final = Decimal(10) ** 14


def check_quantity(value: Decimal, path: tuple[str, ...]) -> list[Invalid]:
    """Find what is wrong with a quantity that must be above 0; ``path`` ends with its name."""
    if 0 < value < LARGEST_QUANTITY and value == value.quantize(QUANTITY_STEP):
        return []
    largest = f"{LARGEST_QUANTITY:f}"
    return [
        Invalid(
            f"{path[-1]} must be above 0 and below {largest} with at most 4 decimals.", path=path
        )
    ]

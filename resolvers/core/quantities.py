"""What a quantity may be, as `resolvers.core.table.quantity` keeps it."""

from decimal import Decimal
from typing import Final

from resolvers.core.errors import Invalid

QUANTITY_STEP: Final = Decimal("0.0001")
"""Quantities have four decimals."""
LARGEST_QUANTITY: Final = Decimal(10) ** 14


def check_unit(value: Decimal, path: tuple[str, ...]) -> list[Invalid]:
    """Find whether a quantity of one serial number, above 0, is anything but one unit."""
    return [] if value == 1 else [Invalid("A serial number stands for one unit.", path=path)]


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

"""Words and rules of pricing; pure, no I/O."""

from enum import StrEnum


class PriceScope(StrEnum):
    """What a price list item applies to, most specific first."""

    PRODUCT = "PRODUCT"
    CATEGORY = "CATEGORY"
    ALL = "ALL"


class PriceMethod(StrEnum):
    """How a price list item sets the price."""

    FIXED = "FIXED"
    DISCOUNT = "DISCOUNT"

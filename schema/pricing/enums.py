"""Words of pricing as GraphQL enums."""

from resolvers.pricing.rules import PriceMethod, PriceScope
from schema.core.enums import describe_enum

__all__ = ["PriceMethod", "PriceScope"]

describe_enum(
    PriceScope,
    "What a price list item applies to.",
    {
        "PRODUCT": "One product.",
        "CATEGORY": "All products of a category and of those below it.",
        "ALL": "All products.",
    },
)
describe_enum(
    PriceMethod,
    "How a price list item sets the price.",
    {"FIXED": "At a fixed price.", "DISCOUNT": "By a discount on the list price."},
)

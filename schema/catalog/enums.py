"""Words of the catalog as GraphQL enums."""

from resolvers.catalog.rules import ProductKind, Tracking
from schema.core.enums import describe_enum

__all__ = ["ProductKind", "Tracking"]

describe_enum(
    ProductKind,
    "What a product is.",
    {"GOODS": "Goods that can be held in stock.", "SERVICE": "A service; it has no stock."},
)
describe_enum(
    Tracking,
    "How single units of a product are told apart in stock.",
    {
        "NONE": "They are not.",
        "LOT": "By lot number.",
        "SERIAL": "Each by a serial number of its own.",
    },
)

"""Words of valuation as GraphQL enums."""

from resolvers.valuation.rules import ValuationKind
from schema.core.enums import describe_enum

__all__ = ["ValuationKind"]

describe_enum(
    ValuationKind,
    "What the value of stock was exchanged for.",
    {
        "OPENING": "It was there when the books began.",
        "PURCHASE": "Goods came from a supplier, or went back.",
        "SALE": "Goods went to a customer, or came back.",
        "DIFFERENCE": "Goods were found or lost, or given up.",
        "PRICE_DIFFERENCE": "Goods that have left cost less or more than was known when they did.",
        "LANDED_COST": "Freight, customs and the like were added to goods that came.",
    },
)

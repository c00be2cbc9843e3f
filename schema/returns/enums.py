"""Words of returns as GraphQL enums."""

from resolvers.returns.rules import Disposition
from schema.core.enums import describe_enum

__all__ = ["Disposition"]

describe_enum(
    Disposition,
    "What becomes of goods that came back.",
    {
        "RESTOCK": "They can be sold again at once.",
        "INSPECT": "They are put aside to be looked at before they are sold.",
        "SCRAP": "They are given up.",
    },
)

"""Words of taxes, described."""

from resolvers.reference.rules import TaxKind, TaxPosition, TaxUse
from schema.core.enums import describe_enum

__all__ = ["TaxKind", "TaxPosition", "TaxUse"]

describe_enum(
    TaxUse,
    "On what kind of document a tax is.",
    {"SALE": "On what is sold.", "PURCHASE": "On what is bought."},
)
describe_enum(
    TaxKind,
    "What the rate of a tax is of.",
    {"PERCENT": "Percent of the net amount.", "FIXED": "An amount for each unit."},
)
describe_enum(
    TaxPosition,
    "Where the other party is, seen from the company.",
    {"DOMESTIC": "In the company's country.", "EXPORT": "Abroad."},
)

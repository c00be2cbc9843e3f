"""Words of partners as GraphQL enums."""

from resolvers.partners.rules import AddressKind, PartnerKind
from schema.core.enums import describe_enum

__all__ = ["AddressKind", "PartnerKind"]

describe_enum(
    PartnerKind,
    "What a partner is in law.",
    {"ORGANIZATION": "A company or institution.", "PERSON": "A natural person."},
)
describe_enum(
    AddressKind,
    "What an address is for.",
    {
        "BILLING": "Where invoices go.",
        "SHIPPING": "Where goods go.",
        "OTHER": "Any other purpose.",
    },
)

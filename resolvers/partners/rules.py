"""Words and rules of partners; pure, no I/O."""

from enum import StrEnum


class PartnerKind(StrEnum):
    """What a partner is in law."""

    ORGANIZATION = "ORGANIZATION"
    PERSON = "PERSON"


class AddressKind(StrEnum):
    """What an address is for."""

    BILLING = "BILLING"
    SHIPPING = "SHIPPING"
    OTHER = "OTHER"

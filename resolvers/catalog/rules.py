"""Words and rules of the catalog; pure, no I/O."""

from enum import StrEnum


class ProductKind(StrEnum):
    """What a product is."""

    GOODS = "GOODS"
    SERVICE = "SERVICE"


class Tracking(StrEnum):
    """How single units of a product are told apart in stock."""

    NONE = "NONE"
    LOT = "LOT"
    SERIAL = "SERIAL"

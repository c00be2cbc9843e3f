"""Words of the search; pure, no I/O."""

from enum import StrEnum


class SearchType(StrEnum):
    """What can be found."""

    PRODUCT = "PRODUCT"
    PARTNER = "PARTNER"
    SALES_ORDER = "SALES_ORDER"
    PURCHASE_ORDER = "PURCHASE_ORDER"
    GOODS_RECEIPT = "GOODS_RECEIPT"
    SHIPMENT = "SHIPMENT"
    INVOICE = "INVOICE"
    PAYMENT = "PAYMENT"
    JOURNAL_ENTRY = "JOURNAL_ENTRY"


class SearchMatch(StrEnum):
    """How well something fits what was searched for, best first."""

    EXACT = "EXACT"
    PREFIX = "PREFIX"
    WORDS = "WORDS"

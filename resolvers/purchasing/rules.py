"""Words and rules of purchasing; pure, no I/O."""

from decimal import Decimal
from enum import StrEnum
from typing import Final

MOVE_SOURCE: Final = "GOODS_RECEIPT_LINE"
"""What stock moves name as their source that came with a line of a goods receipt."""


class PurchaseOrderState(StrEnum):
    """Where a purchase order is in its life."""

    DRAFT = "DRAFT"
    SENT = "SENT"
    TO_APPROVE = "TO_APPROVE"
    CONFIRMED = "CONFIRMED"
    FULFILLED = "FULFILLED"
    CANCELED = "CANCELED"


class ReceiptStatus(StrEnum):
    """How much of a purchase order has arrived; derived from its lines."""

    NONE = "NONE"
    PARTIAL = "PARTIAL"
    RECEIVED = "RECEIVED"


def receipt_status(received: Decimal, outstanding: Decimal) -> ReceiptStatus:
    """Derive the receipt status from the sums of the lines; too much of one makes up for no other.

    ``outstanding`` is what is neither received nor canceled.
    """
    if received <= 0:
        return ReceiptStatus.NONE
    return ReceiptStatus.PARTIAL if outstanding > 0 else ReceiptStatus.RECEIVED


def outstanding(quantity: Decimal, received: Decimal, canceled: Decimal) -> Decimal:
    """Return what of a line is still to come; nothing where more came than was ordered."""
    return max(quantity - received - canceled, Decimal(0))

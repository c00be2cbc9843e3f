"""Words and rules of purchasing; pure, no I/O."""

from decimal import ROUND_CEILING, ROUND_DOWN, Decimal
from enum import StrEnum

from resolvers.core.quantities import QUANTITY_STEP


class PurchaseOrderState(StrEnum):
    """Where a purchase order is in its life."""

    DRAFT = "DRAFT"
    SENT = "SENT"
    TO_APPROVE = "TO_APPROVE"
    CONFIRMED = "CONFIRMED"
    FULFILLED = "FULFILLED"
    CANCELED = "CANCELED"


NOT_CONFIRMED = (
    PurchaseOrderState.DRAFT,
    PurchaseOrderState.TO_APPROVE,
    PurchaseOrderState.SENT,
)
"""States in which goods are asked for and not on their way."""


class ReceiptStatus(StrEnum):
    """How much of a purchase order has arrived; derived from its lines."""

    NONE = "NONE"
    PARTIAL = "PARTIAL"
    RECEIVED = "RECEIVED"


class BillStatus(StrEnum):
    """How much of a purchase order the supplier has billed; derived from its lines."""

    NONE = "NONE"
    PARTIAL = "PARTIAL"
    BILLED = "BILLED"


class PurchaseAction(StrEnum):
    """What can be done with a purchase order."""

    SEND = "SEND"
    APPROVE = "APPROVE"
    CONFIRM = "CONFIRM"
    RECEIVE = "RECEIVE"
    CLOSE = "CLOSE"
    CANCEL = "CANCEL"


def purchase_actions(state: str, receipt: str) -> list[PurchaseAction]:
    """Return what can be done with a purchase order, the usual next thing first.

    Raises:
        ValueError: one of the words is none that purchase orders have.

    """
    received = ReceiptStatus(receipt)
    match PurchaseOrderState(state):
        case PurchaseOrderState.DRAFT:
            return [PurchaseAction.SEND, PurchaseAction.CANCEL]
        case PurchaseOrderState.TO_APPROVE:
            return [PurchaseAction.APPROVE, PurchaseAction.CANCEL]
        case PurchaseOrderState.SENT:
            return [PurchaseAction.CONFIRM, PurchaseAction.CANCEL]
        case PurchaseOrderState.CONFIRMED if received is ReceiptStatus.NONE:
            return [PurchaseAction.RECEIVE, PurchaseAction.CANCEL]
        case PurchaseOrderState.CONFIRMED if received is ReceiptStatus.PARTIAL:
            # what came cannot be given up any more, only what is still to come
            return [PurchaseAction.RECEIVE, PurchaseAction.CLOSE]
    return []


def receipt_status(received: Decimal, outstanding: Decimal) -> ReceiptStatus:
    """Derive the receipt status from the sums of the lines; too much of one makes up for no other.

    ``outstanding`` is what is neither received nor canceled.
    """
    if received <= 0:
        return ReceiptStatus.NONE
    return ReceiptStatus.PARTIAL if outstanding > 0 else ReceiptStatus.RECEIVED


def bill_status(billed: Decimal, unbilled: Decimal) -> BillStatus:
    """Derive the bill status from the sums of the lines; too much of one makes up for no other.

    ``unbilled`` is what is neither billed nor canceled.
    """
    if billed <= 0:
        return BillStatus.NONE
    return BillStatus.PARTIAL if unbilled > 0 else BillStatus.BILLED


def outstanding(quantity: Decimal, received: Decimal, canceled: Decimal) -> Decimal:
    """Return what of a line is still to come; nothing where more came than was ordered."""
    return max(quantity - received - canceled, Decimal(0))


def to_order(suggested: Decimal, asked_for: Decimal, multiple: Decimal, least: Decimal) -> Decimal:
    """Return how much to order of what is suggested: whole multiples, at least what is offered.

    ``asked_for`` is on orders that no supplier has confirmed yet, and so is not incoming.
    """
    missing = suggested - asked_for
    if missing <= 0:
        return Decimal(0)
    wanted = max(missing, least)
    return (wanted / multiple).to_integral_value(ROUND_CEILING) * multiple


def may_still_come(
    quantity: Decimal, received: Decimal, canceled: Decimal, over_percent: Decimal
) -> Decimal:
    """Return how much of a line may still come, with what is tolerated above what was ordered.

    To the last decimal of quantities, rounded down: the tolerance is never exceeded.
    """
    most = (quantity - canceled) * (100 + over_percent) / 100
    return max(most.quantize(QUANTITY_STEP, ROUND_DOWN) - received, Decimal(0))

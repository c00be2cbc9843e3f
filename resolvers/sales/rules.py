"""Words and rules of sales orders; pure, no I/O."""

from decimal import Decimal
from enum import StrEnum


class OrderState(StrEnum):
    """Where an order is in its life."""

    DRAFT = "DRAFT"
    QUOTED = "QUOTED"
    PLACED = "PLACED"
    CONFIRMED = "CONFIRMED"
    FULFILLED = "FULFILLED"
    CANCELED = "CANCELED"


class OrderHold(StrEnum):
    """Why work on an order is stopped."""

    CREDIT = "CREDIT"
    PAYMENT = "PAYMENT"
    MANUAL = "MANUAL"
    ADDRESS = "ADDRESS"


class ReservationStatus(StrEnum):
    """How much of an order is reserved; derived from its lines."""

    NONE = "NONE"
    PARTIAL = "PARTIAL"
    FULL = "FULL"


class ShipmentStatus(StrEnum):
    """How much of an order has left the warehouse; derived from its lines."""

    NONE = "NONE"
    PARTIAL = "PARTIAL"
    SHIPPED = "SHIPPED"


class InvoiceStatus(StrEnum):
    """How much of an order is invoiced; derived from its lines."""

    NONE = "NONE"
    PARTIAL = "PARTIAL"
    INVOICED = "INVOICED"


class OrderPaymentStatus(StrEnum):
    """How much of an order is paid; derived from its invoices."""

    NOT_PAID = "NOT_PAID"
    PARTIAL = "PARTIAL"
    PAID = "PAID"


class OrderAction(StrEnum):
    """What can be done with an order."""

    CONFIRM = "CONFIRM"
    RESERVE = "RESERVE"
    SHIP = "SHIP"
    RELEASE_HOLD = "RELEASE_HOLD"
    HOLD = "HOLD"
    CANCEL = "CANCEL"
    RETURN_GOODS = "RETURN_GOODS"


def order_actions(
    state: str, hold: str | None, reservation: str, shipment: str
) -> list[OrderAction]:
    """Return what can be done with an order, the usual next thing first.

    A hold stops everything but giving the order up and taking the hold away.

    Raises:
        ValueError: one of the words is none that orders have.

    """
    ReservationStatus(reservation), ShipmentStatus(shipment), OrderState(state)
    if hold is not None:
        OrderHold(hold)
    actions: list[OrderAction] = []
    if state in (OrderState.DRAFT, OrderState.QUOTED, OrderState.PLACED):
        actions = [OrderAction.CONFIRM, OrderAction.HOLD, OrderAction.CANCEL]
    elif state == OrderState.CONFIRMED:
        actions = [OrderAction.HOLD, OrderAction.CANCEL]
        if reservation != ReservationStatus.FULL:
            actions.insert(0, OrderAction.RESERVE)
        if reservation != ReservationStatus.NONE:
            actions.insert(0, OrderAction.SHIP)
    if hold is not None and actions:
        actions = [OrderAction.RELEASE_HOLD, OrderAction.CANCEL]
    if shipment != ShipmentStatus.NONE:
        # canceling takes what has not left yet; what has can come back
        actions.append(OrderAction.RETURN_GOODS)
    return actions


def state_after(state: OrderState, shipment: ShipmentStatus) -> OrderState:
    """Derive the state of an order after goods left, or what was left of it was canceled."""
    return OrderState.FULFILLED if shipment is ShipmentStatus.SHIPPED else state


def shipment_status(ordered: Decimal, shipped: Decimal) -> ShipmentStatus:
    """Derive the shipment status from the lines' total quantities, canceled ones left out."""
    if shipped <= 0:
        return ShipmentStatus.NONE
    return ShipmentStatus.SHIPPED if shipped >= ordered else ShipmentStatus.PARTIAL


def reservation_status(open_quantity: Decimal, reserved: Decimal) -> ReservationStatus:
    """Derive the reservation status; ``open_quantity`` is neither shipped nor canceled."""
    if reserved <= 0:
        return ReservationStatus.NONE
    return ReservationStatus.FULL if reserved >= open_quantity else ReservationStatus.PARTIAL

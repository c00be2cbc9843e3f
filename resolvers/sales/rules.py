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

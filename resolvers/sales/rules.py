"""Words and rules of sales orders; pure, no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any


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


class OrderAxis(StrEnum):
    """In which respect an order is how far it is."""

    LIFECYCLE = "LIFECYCLE"
    HOLD = "HOLD"
    RESERVATION = "RESERVATION"
    SHIPMENT = "SHIPMENT"
    INVOICE = "INVOICE"
    PAYMENT = "PAYMENT"

    @classmethod
    def _missing_(cls, value: object) -> "OrderAxis | None":
        """Return what events written before revision 0041 call otherwise."""
        return cls.LIFECYCLE if value == "STATE" else None


AXES: Mapping[OrderAxis, str] = {
    OrderAxis.LIFECYCLE: "state",
    OrderAxis.HOLD: "hold",
    OrderAxis.RESERVATION: "reservation_status",
    OrderAxis.SHIPMENT: "shipment_status",
    OrderAxis.INVOICE: "invoice_status",
    OrderAxis.PAYMENT: "payment_status",
}
"""The column of each axis."""


def axes_changed(told: Mapping[str, Any]) -> list[OrderAxis]:
    """Return what an event tells of; a new order has a state and nothing else worth telling."""
    if told["previous_state"] is None:
        return [OrderAxis.LIFECYCLE]
    return [axis for axis, name in AXES.items() if told[name] != told[f"previous_{name}"]]


class FulfillmentPolicy(StrEnum):
    """What becomes of an order that there is not enough stock for."""

    ALL_OR_NOTHING = "ALL_OR_NOTHING"
    PARTIAL = "PARTIAL"
    BACKORDER = "BACKORDER"


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


class SourcingStrategy(StrEnum):
    """How the warehouses are chosen that goods come from."""

    SINGLE_WAREHOUSE_FIRST = "SINGLE_WAREHOUSE_FIRST"
    PRIORITY = "PRIORITY"
    NEAREST_REGION = "NEAREST_REGION"
    HIGHEST_AVAILABLE = "HIGHEST_AVAILABLE"


Places = dict[tuple[int, int], Decimal]
"""So much by product and warehouse."""


@dataclass(frozen=True, slots=True)
class Site:
    """A warehouse that goods may come from; ``distance`` is 0 in the region they go to.

    One that is ``endless`` may promise more than is there.
    """

    id: int
    priority: int
    distance: int = 0
    endless: bool = False


@dataclass(frozen=True, slots=True)
class Need:
    """So much of a product, above 0, that is to come from somewhere.

    It comes from ``home`` first where it has one; ``whole`` from one place, and that is home.
    """

    product_id: int
    quantity: Decimal
    home: int | None = None
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """So much that comes from a warehouse; of it, so much is there."""

    warehouse_id: int
    quantity: Decimal
    there: Decimal


def distance(site: str | None, country: str | None, region: str | None) -> int:
    """Tell how far a warehouse's region is from an address: 0 the same, 1 its country, else 2."""
    wanted = (site or "").casefold()
    if not wanted:
        return 2
    return next(
        (far for far, at in enumerate((region, country)) if (at or "").casefold() == wanted), 2
    )


def plan_sources(
    needs: Sequence[Need],
    sites: Sequence[Site],
    available: Mapping[tuple[int, int], Decimal],
    strategy: SourcingStrategy,
) -> list[list[Source]]:
    """Choose for each need, first to last, the warehouses that it comes from, in quantities.

    ``available`` is what is promised to nobody, by product and warehouse. As much of it is used as
    is needed, and no more; what is missing then waits at home, or at the first warehouse chosen.
    The same input gives the same plan.

    Raises:
        ValueError: there is no warehouse.

    """
    if not sites:
        message = "There is no warehouse."
        raise ValueError(message)
    left = {key: quantity for key, quantity in available.items() if quantity > 0}
    near = strategy is SourcingStrategy.NEAREST_REGION
    ranked = sorted(sites, key=lambda one: (one.distance if near else 0, one.priority, one.id))
    if strategy is SourcingStrategy.SINGLE_WAREHOUSE_FIRST:
        wanted: dict[int, Decimal] = {}
        for need in needs:
            wanted[need.product_id] = wanted.get(need.product_id, Decimal(0)) + need.quantity
        for site in ranked:
            if all(need.home in (None, site.id) for need in needs) and all(
                left.get((one, site.id), 0) >= much for one, much in wanted.items()
            ):
                return [[Source(site.id, need.quantity, need.quantity)] for need in needs]
    return [_sources(need, ranked, left, strategy) for need in needs]


def _sources(
    need: Need, ranked: Sequence[Site], left: Places, strategy: SourcingStrategy
) -> list[Source]:
    """Take a need from what is ``left``, from the sites in the order of the strategy.

    Home is the first source, even of nothing.
    """
    free = {site.id: left.get((need.product_id, site.id), Decimal(0)) for site in ranked}
    most_first = sorted(ranked, key=lambda site: -free[site.id])
    if strategy is SourcingStrategy.HIGHEST_AVAILABLE:
        ranked = most_first
    if need.whole or strategy is SourcingStrategy.SINGLE_WAREHOUSE_FIRST:
        covering = [site for site in ranked if free[site.id] >= need.quantity]
        ranked = (covering[:1] if need.home is None else ()) or most_first
    # false sorts before true
    ranked = sorted(ranked, key=lambda site: need.home is not None and site.id != need.home)
    if need.whole:
        ranked = [site for site in ranked if need.home in (None, site.id)][:1]
    taken = {} if need.home is None else {need.home: Decimal(0)}
    rest = need.quantity
    for site in ranked:
        got = min(free[site.id], rest)
        if got > 0:
            taken[site.id] = got
            left[need.product_id, site.id] = free[site.id] - got
            rest -= got
    there = dict(taken)
    if rest:
        first = need.home or next(
            (site.id for site in ranked if site.endless), next(iter(taken), ranked[0].id)
        )
        taken[first] = taken.get(first, Decimal(0)) + rest
    return [Source(id_, much, there.get(id_, Decimal(0))) for id_, much in taken.items()]

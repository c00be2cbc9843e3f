"""Subscriptions to sales orders."""

from datetime import datetime
from typing import Annotated

import strawberry

from resolvers.core.context import Context
from resolvers.core.stream import Told
from resolvers.sales.events import ORDER_STATUS_CHANGED, OrderInterest
from resolvers.sales.loaders import order_by_id
from resolvers.sales.rules import AXES, axes_changed
from schema.core.fields import RowType, argument, column, computed, held, related
from schema.core.ids import wanted_keys
from schema.core.node import row_type
from schema.core.stream import Stream, stream
from schema.sales.enums import (
    InvoiceStatus,
    OrderAxis,
    OrderHold,
    OrderPaymentStatus,
    OrderState,
    ReservationStatus,
    ShipmentStatus,
)
from schema.sales.types import SalesOrder

_BEFORE = tuple(f"previous_{column}" for column in AXES.values())
_TOLD = tuple(name for column in AXES.values() for name in (column, f"previous_{column}"))


@row_type("OrderAxisChange", "One of the things that say how far a sales order is, as it changed.")
class OrderAxisChange(RowType):
    """One axis of an event of the topic order.status_changed."""

    axis: OrderAxis = column("What changed.")
    from_: str | None = column("What it was before; null for a new order.", name="from", of="from")
    to: str | None = column("What it is after; null where there is nothing, such as no hold.")


@row_type(
    "OrderStatusChange",
    "How far a sales order is, before and after a change: told once, after it was committed.",
)
class OrderStatusChange(RowType):
    """An event of the topic order.status_changed."""

    event_id: strawberry.ID = column("Id of the event, unique for ever.")
    seq: str = column(
        "Place in the log of changes: grows with every change, as a decimal string. Give the last "
        "one back as after, to resume."
    )
    at: datetime = column("When the change was made.")
    cause: str = column(
        "Why: what was done, such as SHIPMENT or HOLD; EXTERNAL if made outside the gateway."
    )
    axes: list[OrderAxis] = computed(
        "What changed, at least one; a new order has a new STATE.", axes_changed, needs=_TOLD
    )
    changes: list[OrderAxisChange] = held(
        "The same with before and after, as text: one of each axis that changed.",
        "changes",
        size=2,
    )
    previous_state: OrderState | None = column("State before; null for a new order.")
    state: OrderState = column("State after.")
    previous_hold: OrderHold | None = column("Why work was stopped before; null when it was not.")
    hold: OrderHold | None = column("Why work is stopped after; null when it is not.")
    previous_reservation_status: ReservationStatus | None = column(
        "How much was reserved before; null for a new order."
    )
    reservation_status: ReservationStatus = column("How much is reserved after.")
    previous_shipment_status: ShipmentStatus | None = column(
        "How much had left before; null for a new order."
    )
    shipment_status: ShipmentStatus = column("How much has left after.")
    previous_invoice_status: InvoiceStatus | None = column(
        "How much was invoiced before; null for a new order."
    )
    invoice_status: InvoiceStatus = column("How much is invoiced after.")
    previous_payment_status: OrderPaymentStatus | None = column(
        "How much was paid before; null for a new order."
    )
    payment_status: OrderPaymentStatus = column("How much is paid after.")
    order: SalesOrder | None = related(
        "The order as it is now; null where it is not yours to see any more.",
        order_by_id,
        "order_id",
    )


@strawberry.type
class Subscription:
    """Root fields of this module."""

    @stream(
        "New sales orders, and changes of how far they are, in the order they were published: from "
        "now on, or from where you were. An API client bound to a partner is told of its own.",
        item=OrderStatusChange,
        requires="sales.read",
    )
    def order_status_changed(
        context: Context,
        order_ids: Annotated[
            list[strawberry.ID] | None, argument("Of these orders; of all without it.")
        ] = None,
        partner_ids: Annotated[
            list[strawberry.ID] | None, argument("Of these customers; of all without it.")
        ] = None,
        axes: Annotated[
            list[OrderAxis] | None, argument("When one of these changed; any without it.")
        ] = None,
    ) -> Stream:
        """Tell each change of the orders wanted."""
        interest = OrderInterest(
            order_ids=wanted_keys(order_ids, "SalesOrder", "orderIds"),
            partner_ids=wanted_keys(partner_ids, "Partner", "partnerIds"),
            axes=None if axes is None else frozenset(axes),
            own=context.principal.partner_id,
        )
        return Stream(topics=(ORDER_STATUS_CHANGED,), interest=interest, tell=_change)


def _change(told: Told, interest: OrderInterest) -> RowType:
    del interest
    first, event = told.first, told.last
    before = {name: first.payload[name] for name in _BEFORE}
    told_of = {**event.payload, **before}
    row = {
        **told_of,
        "changes": [
            {"axis": axis, "from": told_of[f"previous_{AXES[axis]}"], "to": told_of[AXES[axis]]}
            for axis in axes_changed(told_of)
        ],
        "event_id": event.event_id,
        "seq": str(event.seq),
        "at": event.created_at,
    }
    wrapped: RowType = OrderStatusChange.of(row)
    return wrapped

"""Subscriptions to sales orders."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import strawberry

from resolvers.core.context import Context
from resolvers.core.stream import Told
from resolvers.sales.events import (
    MOST_ORDERS,
    ORDER_STATUS_CHANGED,
    OrderChange,
    OrderInterest,
    axis_of_order,
    is_order_as_before,
    orders_of,
)
from resolvers.sales.loaders import order_by_id
from resolvers.sales.rules import AXES
from schema.core.fields import RowType, argument, column, listed, related
from schema.core.ids import wanted_keys
from schema.core.node import row_type
from schema.core.stream import SnapshotReason, Stream, StreamNotice, stream
from schema.sales.enums import (
    InvoiceStatus,
    OrderAxis,
    OrderHold,
    OrderPaymentStatus,
    OrderState,
    ReservationStatus,
    ShipmentStatus,
)
from schema.sales.inputs import OrderAxisName
from schema.sales.types import SalesOrder


@strawberry.interface(
    name="OrderStreamItem",
    description="What `orderStatusChanged` tells: a change, or the state of orders, or a notice.",
)
class OrderStreamItem(RowType):
    """What all items have; null in those that have no such thing."""

    seq: str = column(
        "Place in the log of changes: grows with every change, as a decimal string. What to resume "
        "after is the seq of the extensions."
    )
    event_id: strawberry.ID | None = column(
        "Id of the event, unique for ever; null for what is no event."
    )
    at: datetime | None = column("When the change was made, or the state read.")
    axis: OrderAxis | None = column("What changed; null for what is no change.")
    from_: str | None = column(
        "What it was before, as text; null for a new order, and where there was nothing, such as "
        "no hold.",
        name="from",
        of="from",
    )
    to: str | None = column("What it is after, as text; null where there is nothing.")
    cause: str | None = column(
        "What was done, such as SHIPMENT or HOLD; EXTERNAL if made outside the gateway."
    )
    reason: str | None = column(
        "Why, where that is known: for what a hold was put on an order, such as CREDIT; STARTED or "
        "TOO_OLD of a state, DROPPED or CAUGHT_UP of a notice."
    )
    order: SalesOrder | None = related(
        "The order as it is now; null where it is not yours to see any more.",
        order_by_id,
        "order_id",
    )


_NOTHING: Mapping[str, Any] = dict.fromkeys(
    ("event_id", "at", "axis", "from", "to", "cause", "order_id")
)


@row_type(
    "OrderStatusChange",
    "How far a sales order is in one respect, before and after: told once, after it was committed.",
)
class OrderStatusChange(OrderStreamItem):
    """An event of the topic order.status_changed."""

    event_id: strawberry.ID = column("Id of the event, unique for ever.")
    at: datetime = column("When the change was made.")
    axis: OrderAxis = column("What changed; of a new order its LIFECYCLE.")
    cause: str = column(
        "What was done, such as SHIPMENT or HOLD; EXTERNAL if made outside the gateway."
    )
    coalesced: int = column(
        "How many changes this one stands for: 1, unless several were told as one."
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


@row_type("OrderSnapshot", "The state of orders at a place in the log; changes after it follow.")
class OrderSnapshot(OrderStreamItem):
    """What a stream of orders begins with, or goes on from."""

    at: datetime = column("When the state was read.")
    reason: str = column(
        "Why you are told the state: STARTED, you asked to begin with it; TOO_OLD, changes after "
        "your cursor are not kept any more: replace what you have."
    )
    orders: list[SalesOrder] = listed(
        "The orders you named, else those of which more is to come: goods, an invoice or a "
        f"payment. The newest first, at most {MOST_ORDERS:,}.",
        order_by_id,
        "order_ids",
        size=1_000,
    )
    is_complete: bool = column("Whether these are all; false where there are more than are shown.")


@row_type("OrderStreamNotice", "Something about the stream of orders itself, in its order.")
class OrderStreamNotice(OrderStreamItem, StreamNotice):
    """What a subscriber is told in place of changes that it missed."""


@strawberry.type
class Subscription:
    """Root fields of this module."""

    @stream(
        "New sales orders, and changes of how far they are, in the order they were published: from "
        "now on, or from where you were, or after the state as it is. An API client bound to a "
        "partner is told of its own.",
        item=OrderStreamItem,
        requires="sales.read",
        snapshot=True,
        notices=True,
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
            list[OrderAxisName] | None, argument("When one of these changed; any without it.")
        ] = None,
    ) -> Stream:
        """Tell each change of the orders wanted."""
        interest = OrderInterest(
            order_ids=wanted_keys(order_ids, "SalesOrder", "orderIds"),
            partner_ids=wanted_keys(partner_ids, "Partner", "partnerIds"),
            axes=None if axes is None else frozenset(map(OrderAxis, axes)),
            own=context.principal.partner_id,
        )
        return Stream(
            topics=(ORDER_STATUS_CHANGED,),
            interest=interest,
            tell=_change,
            key=axis_of_order,
            is_undone=is_order_as_before,
            snapshot=_snapshot,
            notice=_notice,
        )


def _change(told: Told, interest: OrderInterest) -> RowType:
    change, event = OrderChange.of(told, interest), told.last
    row = {
        **event.payload,
        # as after, of what it is not of: a change of that is told by itself
        f"previous_{AXES[change.axis]}": change.before,
        "axis": change.axis,
        "from": change.before,
        "to": change.after,
        "reason": change.after if change.axis is OrderAxis.HOLD else None,
        "coalesced": told.number,
        "event_id": event.event_id,
        "seq": str(event.seq),
        "at": event.created_at,
    }
    wrapped: RowType = OrderStatusChange.of(row)
    return wrapped


async def _snapshot(
    interest: OrderInterest, place: str, reason: SnapshotReason, context: Context
) -> Any:
    found = await orders_of(context.reads, interest)
    return OrderSnapshot.of(
        {
            **_NOTHING,
            "seq": place,
            "at": context.clock(),
            "reason": reason,
            "order_ids": found[:MOST_ORDERS],
            "is_complete": len(found) <= MOST_ORDERS,
        }
    )


def _notice(row: Mapping[str, Any]) -> RowType:
    wrapped: RowType = OrderStreamNotice.of({**_NOTHING, **row, "reason": row["code"]})
    return wrapped

"""The verbs of sales orders: one function per command."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import ColumnElement, exists, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from resolvers.catalog.loaders import product as product_entity
from resolvers.core.command import CommandRefused, Outcome, write_audit
from resolvers.core.context import Context
from resolvers.core.document import (
    Asked,
    Change,
    Document,
    change_document,
    lock_document,
    write_document,
)
from resolvers.core.errors import InsufficientStock, InvalidTransition
from resolvers.core.table import given_quantities
from resolvers.core.transaction import Transaction
from resolvers.inventory.commands import Promise, Wanted, release, reserve
from resolvers.inventory.loaders import SALES_ORDER_LINE
from resolvers.sales.rules import (
    OrderAction,
    OrderHold,
    OrderState,
    ReservationStatus,
    ShipmentStatus,
    order_actions,
    reservation_status,
    shipment_status,
    state_after,
)
from resolvers.sales.tables import sales_order, sales_order_line

_product = product_entity.table.c

MOST_WAITING: Final = 100
"""Most orders that are looked at when goods come; the others wait for the next."""

CANCEL: Final = OrderAction.CANCEL
CONFIRM: Final = OrderAction.CONFIRM
SHIP: Final = OrderAction.SHIP
RETURN_GOODS: Final = OrderAction.RETURN_GOODS
"""What commands of higher modules do with orders."""

ORDER: Final = Document("SalesOrder", sales_order, "order")


async def change_order(
    context: Context,
    key: str,
    order: Asked,
    *,
    action: OrderAction,
    operation: str,
    cause: str,
    change: Change,
    request: Mapping[str, Any] | None = None,
) -> Outcome:
    """Run ``change`` on an order that ``action`` can be done with now. See `change_document`.

    Raises:
        CommandRefused: there is no such order, it changed, or the action cannot be done with it.

    """
    return await change_document(
        context,
        key,
        ORDER,
        order,
        operation=operation,
        cause=cause,
        refuse=lambda row: refuse_action(row, action, order.at),
        change=change,
        request=request,
    )


def refuse_action(order: Any, action: OrderAction, at: tuple[str, ...]) -> InvalidTransition | None:
    """Tell why an action cannot be done with an order now, None if it can."""
    possible = order_actions(
        order.state, order.hold, order.reservation_status, order.shipment_status
    )
    return None if action in possible else _not_now(order, action, possible, at)


async def reserve_order(
    context: Context,
    key: str,
    asked: Asked,
    *,
    all_or_nothing: bool,
) -> Outcome:
    """Promise stock to the lines of a confirmed order that wait for it, from its warehouse.

    As much as there is, first line first, or with ``all_or_nothing`` everything or nothing. Returns
    the order's ``id`` and ``shortages``: the lines that still wait.

    Raises:
        CommandRefused: there is no such order, it changed, is not to be reserved now, or not all of
            it is there.

    """

    async def change(connection: Transaction, order: Any) -> Outcome:
        promised = await promise_lines(connection, order, partly=not all_or_nothing)
        if all_or_nothing and promised.shortages:
            missing = ", ".join(shortage["sku"] for shortage in promised.shortages)
            refusal = InsufficientStock(
                f"There is not enough of {missing}.", path=("allOrNothing",)
            )
            raise CommandRefused([refusal], {"shortages": promised.shortages})
        if promised.reserved:
            await write_order(
                context,
                connection,
                order,
                {"reservation_status": promised.status},
                operation="reserveOrder",
                action="reserve",
                told={"reserved": promised.told()},
            )
        return {"shortages": promised.shortages}

    return await change_order(
        context,
        key,
        asked,
        action=OrderAction.RESERVE,
        operation="reserveOrder",
        cause="RESERVATION",
        change=change,
        request={"allOrNothing": all_or_nothing},
    )


async def hold_order(context: Context, key: str, asked: Asked, *, hold: OrderHold) -> Outcome:
    """Stop work on an order; what is promised to it stays promised.

    Raises:
        CommandRefused: there is no such order, it changed, is on hold, or needs no work anymore.

    """

    async def change(connection: Transaction, order: Any) -> Outcome:
        await write_order(
            context, connection, order, {"hold": hold}, operation="holdSalesOrder", action="hold"
        )
        return {}

    return await change_order(
        context,
        key,
        asked,
        action=OrderAction.HOLD,
        operation="holdSalesOrder",
        cause="HOLD",
        change=change,
        request={"hold": hold},
    )


async def release_hold(context: Context, key: str, asked: Asked) -> Outcome:
    """Let work on an order go on.

    Raises:
        CommandRefused: there is no such order, it changed, or is not on hold.

    """

    async def change(connection: Transaction, order: Any) -> Outcome:
        await write_order(
            context, connection, order, {"hold": None}, operation="releaseHold", action="release"
        )
        return {}

    return await change_order(
        context,
        key,
        asked,
        action=OrderAction.RELEASE_HOLD,
        operation="releaseHold",
        cause="HOLD",
        change=change,
    )


@dataclass(frozen=True, slots=True)
class Promised:
    """What the lines of an order got: by line, what that makes of the order, what is missing."""

    reserved: Mapping[int, Decimal]
    status: ReservationStatus
    shortages: list[dict[str, Any]]

    def told(self) -> dict[str, str]:
        """Return what the lines got, as JSON."""
        return {str(id_): f"{got:f}" for id_, got in self.reserved.items()}


async def promise_lines(connection: Transaction, order: Any, *, partly: bool) -> Promised:
    """Promise stock to the lines of a locked order, and write that down on the lines.

    All or nothing, unless ``partly``. The order is left to the caller.
    """
    lines = await _waiting_lines(connection, order)
    promises = await reserve(
        connection,
        [Wanted(line.id, line.product_id, order.warehouse_id, line.waiting) for line in lines],
        source=SALES_ORDER_LINE,
        partly=partly,
    )
    skus = {line.id: line.sku for line in lines}
    shortages = [
        _shortage(skus[promise.wanted.source_id], promise)
        for promise in promises
        if promise.got < promise.wanted.quantity
    ]
    got = {promise.wanted.source_id: promise.got for promise in promises if promise.got}
    if shortages and not partly:
        got = {}
    await _add_to_lines(connection, got, shipped=False)
    return Promised(got, (await _status(connection, order))[0], shortages)


async def lock_waiting(
    connection: Transaction,
    warehouse_id: int,
    product_ids: Sequence[int],
    *,
    besides: int | None = None,
) -> list[Any]:
    """Lock the orders that wait for products in a warehouse, and return their rows.

    At most `MOST_WAITING` of them, those to be delivered first; orders on hold do not wait. Called
    before any stock is locked, as orders come first; the order ``besides`` is locked with them, as
    orders are locked by their ids, and does not wait.
    """
    order, line = sales_order.c, sales_order_line.c
    waiting = (
        select(order.id)
        .where(
            order.warehouse_id == warehouse_id,
            order.state == OrderState.CONFIRMED,
            order.hold.is_(None),
            exists().where(line.order_id == order.id, *_waiting_for(product_ids)),
        )
        .order_by(func.coalesce(order.requested_on, order.placed_on), order.id)
        .limit(MOST_WAITING)
    )
    found = await connection.execute(waiting)
    ids = [row.id for row in found] + ([] if besides is None else [besides])
    if not ids:
        return []
    locked = await connection.execute(
        select(sales_order)
        .where(order.id.in_(ids))
        .order_by(order.id)
        .with_for_update(key_share=True)
    )
    # somebody else may have been quicker
    return [
        row
        for row in locked
        if row.state == OrderState.CONFIRMED and row.hold is None and row.id != besides
    ]


async def promise_waiting(
    context: Context,
    connection: Transaction,
    orders: Sequence[Any],
    product_ids: Sequence[int],
    *,
    operation: str,
) -> list[int]:
    """Promise products to lines of locked orders that wait for them, those due first.

    Returns the ids of the orders that got something.
    """
    if not orders:
        return []
    by_id = {order.id: order for order in orders}
    line = sales_order_line.c
    found = await connection.execute(
        select(
            line.id,
            line.order_id,
            line.product_id,
            (line.quantity - line.shipped - line.canceled - line.reserved).label("waiting"),
        )
        .where(line.order_id.in_(by_id), *_waiting_for(product_ids))
        .order_by(line.order_id, line.position)
    )
    rows = sorted(found, key=lambda row: _due(by_id[row.order_id]))
    promises = await reserve(
        connection,
        [
            Wanted(row.id, row.product_id, by_id[row.order_id].warehouse_id, row.waiting)
            for row in rows
        ],
        source=SALES_ORDER_LINE,
        partly=True,
    )
    got = {promise.wanted.source_id: promise.got for promise in promises if promise.got}
    await _add_to_lines(connection, got, shipped=False)
    lines: dict[int, dict[str, str]] = {}
    for row in rows:
        if row.id in got:
            lines.setdefault(row.order_id, {})[str(row.id)] = f"{got[row.id]:f}"
    for order_id, reserved in sorted(lines.items()):
        order = by_id[order_id]
        await write_order(
            context,
            connection,
            order,
            {"reservation_status": (await _status(connection, order))[0]},
            operation=operation,
            action="reserve",
            told={"reserved": reserved},
        )
    return sorted(lines)


def _due(order: Any) -> tuple[date, int]:
    return order.requested_on or order.placed_on, order.id


def _waiting_for(product_ids: Sequence[int]) -> tuple[ColumnElement[bool], ...]:
    line = sales_order_line.c
    return (
        line.product_id.in_(sorted(set(product_ids))),
        # as the index on open lines says it
        line.shipped + line.canceled < line.quantity,
        line.reserved < line.quantity - line.shipped - line.canceled,
    )


async def order_lines(connection: Transaction, order: Any) -> list[Any]:
    """Return the lines of a locked order with the SKUs of their products, in their order."""
    line = sales_order_line.c
    rows = await connection.execute(
        select(
            line.id,
            line.product_id,
            _product.sku,
            _product.tracking,
            line.quantity,
            line.reserved,
            line.shipped,
            line.returned,
        )
        .join(product_entity.table, _product.id == line.product_id)
        .where(line.order_id == order.id)
        .order_by(line.position)
    )
    return list(rows.all())


async def write_shipped(
    context: Context,
    connection: Transaction,
    order: Any,
    shipped: Mapping[int, Decimal],
    *,
    operation: str,
) -> bool:
    """Write down what left of the lines of a locked order, out of what was promised to them.

    Tells whether the order is fulfilled now.
    """
    await _add_to_lines(connection, shipped, shipped=True)
    reservation, shipment = await _status(connection, order)
    state = state_after(OrderState(order.state), shipment)
    await write_order(
        context,
        connection,
        order,
        {"state": state, "reservation_status": reservation, "shipment_status": shipment},
        operation=operation,
        action="ship",
        told={"shipped": {str(id_): f"{sent:f}" for id_, sent in shipped.items()}},
    )
    return state is OrderState.FULFILLED


async def write_returned(
    context: Context,
    connection: Transaction,
    order: Any,
    returned: Mapping[int, Decimal],
    *,
    operation: str,
) -> None:
    """Write down on a locked order what came back of its lines."""
    line = sales_order_line.c
    given = given_quantities()
    await connection.execute(
        update(sales_order_line)
        .where(line.id == given.c.id)
        .values(returned=line.returned + given.c.quantity),
        {"ids": list(returned), "given": list(returned.values())},
    )
    await write_order(
        context,
        connection,
        order,
        {},
        operation=operation,
        action="return",
        told={"returned": {str(id_): f"{back:f}" for id_, back in returned.items()}},
    )


async def cancel_lines(
    context: Context, connection: Transaction, order: Any, *, operation: str
) -> bool:
    """Give up what has not left of a locked order, and what is promised to it.

    Tells whether the order is fulfilled now, because something of it has left.
    """
    line = sales_order_line.c
    lines = await order_lines(connection, order)
    await release(connection, [row.id for row in lines], source=SALES_ORDER_LINE)
    await connection.execute(
        update(sales_order_line)
        .where(line.order_id == order.id)
        .values(canceled=line.quantity - line.shipped, reserved=0)
    )
    reservation, shipment = await _status(connection, order)
    nothing_left = shipment is ShipmentStatus.NONE
    state = OrderState.CANCELED if nothing_left else OrderState.FULFILLED
    await write_order(
        context,
        connection,
        order,
        {
            "state": state,
            "hold": None,
            "reservation_status": reservation,
            "shipment_status": shipment,
        },
        operation=operation,
        action="cancel",
    )
    return state is OrderState.FULFILLED


async def write_order(
    context: Context,
    connection: Transaction,
    order: Any,
    values: Mapping[str, Any],
    *,
    operation: str,
    action: str,
    told: Mapping[str, Any] | None = None,
) -> None:
    """Change a locked order to ``values``, count its version, and leave the trail.

    ``told`` is what the trail tells besides of what was changed.
    """
    await write_document(
        context,
        connection,
        ORDER,
        order,
        values,
        operation=operation,
        action=action,
        told=told,
    )


async def lock_order(connection: Transaction, order_id: int) -> Any:
    """Lock an order before anything that belongs to it, and return its row."""
    return await lock_document(connection, ORDER, Asked(order_id))


_NEEDS = {
    OrderAction.CONFIRM: "Only an order that is not confirmed yet can be confirmed.",
    OrderAction.RESERVE: "Only a confirmed order that waits for stock can be reserved.",
    OrderAction.SHIP: "Only a confirmed order with reserved stock can be shipped.",
    OrderAction.HOLD: "Only an order that is still worked on can be put on hold.",
    OrderAction.RELEASE_HOLD: "The order is not on hold.",
    OrderAction.CANCEL: "Nothing is left of the order that could be canceled.",
    OrderAction.RETURN_GOODS: "Nothing of the order has left.",
}


def _not_now(
    order: Any, action: OrderAction, possible: Sequence[OrderAction], at: tuple[str, ...]
) -> InvalidTransition:
    if OrderAction.RELEASE_HOLD in possible:
        return InvalidTransition(
            "The order is on hold; release it first.",
            path=at,
            details={"hold": order.hold},
        )
    return InvalidTransition(
        _NEEDS[action],
        path=at,
        details={
            "state": order.state,
            "reservationStatus": order.reservation_status,
            "shipmentStatus": order.shipment_status,
            "availableActions": ", ".join(possible),
        },
    )


async def _waiting_lines(connection: Transaction, order: Any) -> Any:
    """Return the lines that are not reserved in full, with how much each waits for."""
    line = sales_order_line.c
    waiting = line.quantity - line.shipped - line.canceled - line.reserved
    rows = await connection.execute(
        select(line.id, line.product_id, _product.sku, waiting.label("waiting"))
        .join(product_entity.table, _product.id == line.product_id)
        .where(line.order_id == order.id, waiting > 0)
        .order_by(line.position)
    )
    return rows.all()


def _shortage(sku: str, promise: Promise) -> dict[str, Any]:
    """Return a shortage as JSON; quantities as text."""
    coming = promise.next_quantity
    return {
        "sku": sku,
        "requested": f"{promise.wanted.quantity:f}",
        "available": f"{promise.got:f}",
        "next_on": None if promise.next_on is None else promise.next_on.isoformat(),
        "next_quantity": None if coming is None else f"{coming:f}",
    }


async def _add_to_lines(
    connection: Transaction, quantities: Mapping[int, Decimal], *, shipped: bool
) -> None:
    """Reserve so much more of lines, or let it leave out of what is reserved."""
    if not quantities:
        return
    line = sales_order_line.c
    given = given_quantities()
    values = (
        {"shipped": line.shipped + given.c.quantity, "reserved": line.reserved - given.c.quantity}
        if shipped
        else {"reserved": line.reserved + given.c.quantity}
    )
    await connection.execute(
        update(sales_order_line).where(line.id == given.c.id).values(values),
        {"ids": list(quantities), "given": list(quantities.values())},
    )


async def _status(connection: Transaction, order: Any) -> tuple[ReservationStatus, ShipmentStatus]:
    """Derive how much of an order is reserved and has left, from its lines."""
    line = sales_order_line.c
    sums = (
        await connection.execute(
            select(
                func.sum(line.quantity - line.canceled).label("ordered"),
                func.sum(line.shipped).label("shipped"),
                func.sum(line.reserved).label("reserved"),
            ).where(line.order_id == order.id)
        )
    ).one()
    return (
        reservation_status(sums.ordered - sums.shipped, sums.reserved),
        shipment_status(sums.ordered, sums.shipped),
    )


async def insert_order(
    context: Context,
    connection: Transaction,
    header: Mapping[str, Any],
    lines: Sequence[Mapping[str, Any]],
    *,
    quoted: bool = False,
) -> int | None:
    """Place an order with its lines, and return its id; None if its reference is known already.

    ``header`` and ``lines`` are columns; what follows from others is found here. One that is
    ``quoted`` is only offered to the customer.
    """
    state = OrderState.QUOTED if quoted else OrderState.PLACED
    now = context.clock()
    subtotal = sum((line["net"] for line in lines), Decimal(0))
    tax_total = sum((line["tax"] for line in lines), Decimal(0))
    made = await connection.execute(
        upsert(sales_order)
        .values(
            **header,
            company_id=context.principal.company_id,
            number=f"SO-{now.year}-",  # completed with the id
            state=state,
            placed_on=now.date(),
            created_at=now,
            subtotal=subtotal,
            tax_total=tax_total,
            total=subtotal + tax_total,
        )
        .on_conflict_do_nothing()
        .returning(sales_order.c.id)
    )
    order_id: int | None = made.scalar_one_or_none()
    if order_id is None:
        return None
    await connection.execute(
        insert(sales_order_line),
        [
            {
                **line,
                "company_id": context.principal.company_id,
                "partner_id": header["partner_id"],
                "currency": header["currency"],
                "order_id": order_id,
                "position": position,
                "placed_on": now.date(),
            }
            for position, line in enumerate(lines, start=1)
        ],
    )
    await write_audit(
        context,
        connection,
        operation="quoteSalesOrder" if quoted else "placeSalesOrder",
        action="quote" if quoted else "place",
        entity="SalesOrder",
        changes={order_id: {"state": state, "lines": len(lines)}},
        versions={order_id: 1},
    )
    return order_id


async def order_of_reference(
    connection: Transaction, channel: str, external_ref: str | None
) -> int | None:
    """Return the order that has a reference of a channel."""
    order = sales_order.c
    found: int | None = await connection.scalar(
        select(order.id).where(order.channel == channel, order.external_ref == external_ref)
    )
    return found


async def hold_for_credit(
    context: Context, connection: Transaction, order: Any, *, operation: str
) -> None:
    """Put a locked order on hold, as it is over the customer's credit."""
    await write_order(
        context, connection, order, {"hold": OrderHold.CREDIT}, operation=operation, action="hold"
    )


async def write_confirmed(
    context: Context, connection: Transaction, order: Any, *, operation: str
) -> list[dict[str, Any]]:
    """Confirm a locked order and promise it what there is; return its shortages."""
    promised = await promise_lines(connection, order, partly=True)
    await write_order(
        context,
        connection,
        order,
        {
            "state": OrderState.CONFIRMED,
            "confirmed_at": context.clock(),
            "reservation_status": promised.status,
        },
        operation=operation,
        action="confirm",
        told={"reserved": promised.told()},
    )
    return promised.shortages

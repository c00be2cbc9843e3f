"""The verbs of sales orders: one function per command."""

from decimal import Decimal
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import BigInteger

from resolvers.catalog.loaders import product as product_entity
from resolvers.core.command import (
    CommandRefused,
    Outcome,
    changed_since,
    run_command,
    write_audit,
)
from resolvers.core.context import Context
from resolvers.core.errors import InsufficientStock, InvalidTransition, NotFound
from resolvers.core.table import as_given, quantity
from resolvers.inventory.commands import Promise, Wanted, reserve
from resolvers.inventory.loaders import SALES_ORDER_LINE
from resolvers.sales.rules import OrderAction, order_actions, reservation_status
from resolvers.sales.tables import sales_order, sales_order_line

_product = product_entity.table.c


async def reserve_order(
    context: Context,
    key: str,
    order_id: int,
    expected_version: int | None,
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

    async def body(connection: AsyncConnection) -> Outcome:
        order = await _lock_order(connection, order_id, expected_version)
        actions = order_actions(
            order.state, order.hold, order.reservation_status, order.shipment_status
        )
        if OrderAction.RESERVE not in actions:
            raise CommandRefused([_not_now(order)], {"id": order_id})
        lines = await _waiting_lines(connection, order)
        promises = await reserve(
            connection,
            [Wanted(line.id, line.product_id, order.warehouse_id, line.waiting) for line in lines],
            source=SALES_ORDER_LINE,
            partly=not all_or_nothing,
        )
        skus = {line.id: line.sku for line in lines}
        shortages = [
            _shortage(skus[promise.wanted.source_id], promise)
            for promise in promises
            if promise.got < promise.wanted.quantity
        ]
        if all_or_nothing and shortages:
            missing = ", ".join(shortage["sku"] for shortage in shortages)
            refusal = InsufficientStock(
                f"There is not enough of {missing}.", path=("allOrNothing",)
            )
            raise CommandRefused([refusal], {"id": order_id, "shortages": shortages})
        reserved = {promise.wanted.source_id: promise.got for promise in promises if promise.got}
        if reserved:
            await _write_reserved(context, connection, order, reserved)
        return {"id": order_id, "shortages": shortages}

    return await run_command(
        context,
        operation="reserveOrder",
        key=key,
        request={
            "id": order_id,
            "expectedVersion": expected_version,
            "allOrNothing": all_or_nothing,
        },
        cause="RESERVATION",
        body=body,
    )


async def _lock_order(
    connection: AsyncConnection, order_id: int, expected_version: int | None
) -> Any:
    order = sales_order.c
    given = bindparam("id", order_id, type_=as_given(order.id.type))
    found = await connection.execute(
        select(sales_order).where(order.id == given).with_for_update(key_share=True)
    )
    row = found.first()
    if row is None:
        raise CommandRefused([NotFound("There is no such order.", path=("id",))])
    if expected_version is not None and expected_version != row.version:
        conflict = await changed_since(
            connection,
            "SalesOrder",
            order_id,
            expected_version=expected_version,
            version=row.version,
        )
        raise CommandRefused([conflict], {"id": order_id})
    return row


def _not_now(order: Any) -> InvalidTransition:
    if order.hold is not None:
        return InvalidTransition(
            "The order is on hold; release it first.",
            path=("id",),
            details={"hold": order.hold},
        )
    return InvalidTransition(
        "Only a confirmed order that waits for stock can be reserved.",
        path=("id",),
        details={"state": order.state, "reservationStatus": order.reservation_status},
    )


async def _waiting_lines(connection: AsyncConnection, order: Any) -> Any:
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


async def _write_reserved(
    context: Context, connection: AsyncConnection, order: Any, reserved: dict[int, Decimal]
) -> None:
    """Write down what the lines got, and what that makes of the order."""
    line = sales_order_line.c
    got = (
        func.unnest(
            bindparam("ids", type_=ARRAY(BigInteger)), bindparam("got", type_=ARRAY(quantity()))
        )
        .table_valued("id", "quantity", name="got")
        .render_derived()
    )
    await connection.execute(
        update(sales_order_line)
        .where(line.id == got.c.id)
        .values(reserved=line.reserved + got.c.quantity),
        {"ids": list(reserved), "got": list(reserved.values())},
    )
    sums = (
        await connection.execute(
            select(
                func.sum(line.quantity - line.shipped - line.canceled).label("open"),
                func.sum(line.reserved).label("reserved"),
            ).where(line.order_id == order.id)
        )
    ).one()
    status = reservation_status(sums.open, sums.reserved)
    await connection.execute(
        update(sales_order)
        .where(sales_order.c.id == order.id)
        .values(reservation_status=status, version=sales_order.c.version + 1)
    )
    await write_audit(
        context,
        connection,
        operation="reserveOrder",
        action="reserve",
        entity="SalesOrder",
        changes={
            order.id: {
                "reserved": {str(id_): f"{got:f}" for id_, got in reserved.items()},
                "reservationStatus": status,
            }
        },
        versions={order.id: order.version + 1},
    )

"""The verbs of purchase orders: one function per command.

A purchase order is locked first, then the sales orders that wait for its goods, then stock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import BigInteger, bindparam, func, insert, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from resolvers.core.command import CommandRefused, Outcome, write_audit
from resolvers.core.context import Context
from resolvers.core.document import Asked, Change, Document, change_document, write_document
from resolvers.core.errors import (
    ErpError,
    Invalid,
    InvalidTransition,
    NotFound,
    OverReceipt,
)
from resolvers.core.quantities import check_quantity
from resolvers.core.table import quantity
from resolvers.inventory.commands import Arrival, Goods, prepare_landing, receive_goods
from resolvers.inventory.loaders import GOODS_RECEIPT_LINE
from resolvers.purchasing.rules import (
    PurchaseAction,
    PurchaseOrderState,
    ReceiptStatus,
    bill_status,
    may_still_come,
    purchase_actions,
    receipt_status,
)
from resolvers.purchasing.tables import (
    goods_receipt,
    goods_receipt_line,
    purchase_order,
    purchase_order_line,
)
from resolvers.sales.commands import lock_waiting, promise_waiting

MAX_LINES: Final = 200
"""Most lines of one receipt."""
MAX_TEXT: Final = 100
"""Most characters of the number on a delivery note."""

PURCHASE: Final = Document("PurchaseOrder", purchase_order, "purchase order")


@dataclass(frozen=True, slots=True)
class ReceiveLine:
    """So much of an order's line that came, of which some may be put aside."""

    order_line_id: int
    quantity: Decimal
    rejected: Decimal
    lot_number: str | None = None
    expires_on: date | None = None


async def change_purchase(
    context: Context,
    key: str,
    order: Asked,
    *,
    actions: Sequence[PurchaseAction],
    operation: str,
    cause: str,
    change: Change,
    request: Mapping[str, Any] | None = None,
) -> Outcome:
    """Run ``change`` on a purchase order that one of ``actions`` can be done with now.

    Raises:
        CommandRefused: there is no such order, it changed, or none of it can be done with it.

    """

    def refuse(row: Any) -> InvalidTransition | None:
        possible = purchase_actions(row.state, row.receipt_status)
        if set(actions) & set(possible):
            return None
        return InvalidTransition(
            "This cannot be done with the purchase order now.",
            path=order.at,
            details={
                "state": row.state,
                "receiptStatus": row.receipt_status,
                "availableActions": ", ".join(possible),
            },
        )

    return await change_document(
        context,
        key,
        PURCHASE,
        order,
        operation=operation,
        cause=cause,
        refuse=refuse,
        change=change,
        request=request,
    )


async def confirm_purchase(context: Context, key: str, asked: Asked) -> Outcome:
    """Write down that the supplier accepted an order: its goods are on their way from now on.

    Raises:
        CommandRefused: there is no such order, it changed, or it was not sent.

    """

    async def change(connection: AsyncConnection, order: Any) -> Outcome:
        values = {"state": PurchaseOrderState.CONFIRMED, "confirmed_at": context.clock()}
        await _write_order(
            context,
            connection,
            order,
            values,
            operation="confirmPurchaseOrder",
            action="confirm",
        )
        return {}

    return await change_purchase(
        context,
        key,
        asked,
        actions=[PurchaseAction.CONFIRM],
        operation="confirmPurchaseOrder",
        cause="PURCHASE",
        change=change,
    )


async def cancel_purchase(context: Context, key: str, asked: Asked) -> Outcome:
    """Give up what has not come of a purchase order; what came stays, and it is fulfilled then.

    Raises:
        CommandRefused: there is no such order, it changed, or nothing is still to come.

    """

    async def change(connection: AsyncConnection, order: Any) -> Outcome:
        line = purchase_order_line.c
        await connection.execute(
            update(purchase_order_line)
            .where(line.order_id == order.id)
            .values(canceled=func.greatest(line.quantity - line.received, 0))
        )
        came = order.receipt_status != ReceiptStatus.NONE
        state = PurchaseOrderState.FULFILLED if came else PurchaseOrderState.CANCELED
        await _write_order(
            context,
            connection,
            order,
            {"state": state, **await _statuses(connection, order)},
            operation="cancelPurchaseOrder",
            action="cancel",
        )
        return {}

    return await change_purchase(
        context,
        key,
        asked,
        actions=[PurchaseAction.CANCEL, PurchaseAction.CLOSE],
        operation="cancelPurchaseOrder",
        cause="PURCHASE",
        change=change,
    )


async def receive_order(
    context: Context,
    key: str,
    asked: Asked,
    *,
    lines: Sequence[ReceiveLine],
    delivery_note: str | None,
) -> Outcome:
    """Take in what came of a confirmed purchase order, and promise it to orders that wait for it.

    Returns the order's ``id``, the ``receipt_id``, the ``move_ids`` of the stock ledger and the
    ``reserved_ids`` of the sales orders that got something of it.

    Raises:
        CommandRefused: there is no such order, it changed, is not on its way, more came than is
            tolerated, or a lot is wrong.

    """
    _check(lines, delivery_note)

    async def change(connection: AsyncConnection, order: Any) -> Outcome:
        rows = await _order_lines(connection, order)
        _refuse_more(lines, rows)
        product_ids = sorted({rows[line.order_line_id].product_id for line in lines})
        waiting = await lock_waiting(connection, order.warehouse_id, product_ids)
        arrivals = [
            Arrival(
                rows[line.order_line_id].product_id,
                line.quantity,
                line.rejected,
                line.lot_number,
                line.expires_on,
                position,
            )
            for position, line in enumerate(lines)
        ]
        landing = await prepare_landing(context, connection, order.warehouse_id, arrivals)
        receipt_id, line_ids = await _write_receipt(
            context, connection, order, lines, rows=rows, delivery_note=delivery_note
        )
        goods = [
            Goods(one.product_id, place, part, lot_id, line_id)
            for one, lot_id, line_id in zip(arrivals, landing.lot_ids, line_ids, strict=True)
            for place, part in (
                (landing.location_id, one.quantity - one.rejected),
                (landing.aside_id, one.rejected),
            )
            if part and place is not None
        ]
        move_ids = await receive_goods(context, connection, key, goods, source=GOODS_RECEIPT_LINE)
        reserved_ids = await promise_waiting(
            context, connection, waiting, product_ids, operation="receiveGoods"
        )
        await _write_received(context, connection, order, lines)
        return {"receipt_id": receipt_id, "move_ids": move_ids, "reserved_ids": reserved_ids}

    return await change_purchase(
        context,
        key,
        asked,
        actions=[PurchaseAction.RECEIVE],
        operation="receiveGoods",
        cause="RECEIPT",
        change=change,
        request={
            "lines": [
                [
                    line.order_line_id,
                    f"{line.quantity.normalize():f}",
                    f"{line.rejected.normalize():f}",
                    line.lot_number,
                    None if line.expires_on is None else line.expires_on.isoformat(),
                ]
                for line in lines
            ],
            "deliveryNote": delivery_note,
        },
    )


def _check(lines: Sequence[ReceiveLine], delivery_note: str | None) -> None:
    """Refuse what is wrong by itself, before anything is read."""
    errors: list[ErpError] = []
    if not 1 <= len(lines) <= MAX_LINES:
        errors.append(Invalid(f"Give 1 to {MAX_LINES} lines.", path=("lines",)))
    if delivery_note is not None and not 1 <= len(delivery_note) <= MAX_TEXT:
        errors.append(
            Invalid(f"deliveryNote must have 1 to {MAX_TEXT} characters.", path=("deliveryNote",))
        )
    for position, line in enumerate(lines):
        at = ("lines", str(position))
        wrong = check_quantity(line.quantity, (*at, "qty"))
        if not wrong and line.rejected != 0:
            wrong = check_quantity(line.rejected, (*at, "qtyRejected"))
            if not wrong and line.rejected > line.quantity:
                wrong = [Invalid("No more can be rejected than came.", path=(*at, "qtyRejected"))]
        errors += wrong
    if errors:
        raise CommandRefused(errors)


async def _order_lines(connection: AsyncConnection, order: Any) -> dict[int, Any]:
    line = purchase_order_line.c
    found = await connection.execute(
        select(purchase_order_line).where(line.order_id == order.id).order_by(line.position)
    )
    return {row.id: row for row in found}


def _refuse_more(lines: Sequence[ReceiveLine], rows: Mapping[int, Any]) -> None:
    errors: list[ErpError] = []
    left = {
        id_: may_still_come(row.quantity, row.received, row.canceled, row.over_receipt_percent)
        for id_, row in rows.items()
    }
    for position, line in enumerate(lines):
        at = ("lines", str(position))
        if line.order_line_id not in left:
            errors.append(
                NotFound("The order has no such line.", path=(*at, "purchaseOrderLineId"))
            )
            continue
        if line.quantity > left[line.order_line_id]:
            errors.append(
                OverReceipt(
                    "More came than was ordered and is tolerated.",
                    path=(*at, "qty"),
                    details={"mayStillCome": f"{left[line.order_line_id]:f}"},
                )
            )
        left[line.order_line_id] -= line.quantity
    if errors:
        raise CommandRefused(errors)


async def _write_receipt(
    context: Context,
    connection: AsyncConnection,
    order: Any,
    lines: Sequence[ReceiveLine],
    *,
    rows: Mapping[int, Any],
    delivery_note: str | None,
) -> tuple[int, list[int]]:
    now = context.clock()
    owner = {"company_id": order.company_id, "partner_id": order.partner_id}
    made = await connection.execute(
        insert(goods_receipt)
        .values(
            **owner,
            number=f"GR-{now.year}-",  # completed with the id
            order_id=order.id,
            warehouse_id=order.warehouse_id,
            delivery_note=delivery_note,
            received_on=now.date(),
            posted_at=now,
            posted_by=context.principal.actor,
        )
        .returning(goods_receipt.c.id)
    )
    receipt_id = int(made.scalar_one())
    written = await connection.execute(
        insert(goods_receipt_line).returning(goods_receipt_line.c.id, sort_by_parameter_order=True),
        [
            {
                **owner,
                "receipt_id": receipt_id,
                "position": position,
                "order_line_id": line.order_line_id,
                "product_id": rows[line.order_line_id].product_id,
                "quantity": line.quantity,
                "rejected": line.rejected,
            }
            for position, line in enumerate(lines, start=1)
        ],
    )
    line_ids = [row.id for row in written]
    await write_audit(
        context,
        connection,
        operation="receiveGoods",
        action="post",
        entity="GoodsReceipt",
        changes={receipt_id: {"lines": len(line_ids)}},
    )
    return receipt_id, line_ids


async def _write_received(
    context: Context, connection: AsyncConnection, order: Any, lines: Sequence[ReceiveLine]
) -> None:
    """Write down on the order what came of its lines, and what that makes of it."""
    sums: dict[int, Decimal] = {}
    for line in lines:
        sums[line.order_line_id] = sums.get(line.order_line_id, Decimal(0)) + line.quantity
    given = (
        func.unnest(
            bindparam("ids", type_=ARRAY(BigInteger)), bindparam("given", type_=ARRAY(quantity()))
        )
        .table_valued("id", "quantity", name="given")
        .render_derived()
    )
    column = purchase_order_line.c
    await connection.execute(
        update(purchase_order_line)
        .where(column.id == given.c.id)
        .values(received=column.received + given.c.quantity),
        {"ids": list(sums), "given": list(sums.values())},
    )
    values = await _statuses(connection, order)
    if values["receipt_status"] is ReceiptStatus.RECEIVED:
        values["state"] = PurchaseOrderState.FULFILLED
    await _write_order(
        context,
        connection,
        order,
        values,
        operation="receiveGoods",
        action="receive",
        told={"received": {str(id_): f"{came:f}" for id_, came in sums.items()}},
    )


async def _statuses(connection: AsyncConnection, order: Any) -> dict[str, Any]:
    """Derive how much of an order has come and was billed, from its lines."""
    line = purchase_order_line.c
    still = func.greatest
    sums = (
        await connection.execute(
            select(
                func.sum(line.received).label("received"),
                func.sum(still(line.quantity - line.received - line.canceled, 0)).label("rest"),
                func.sum(line.billed).label("billed"),
                func.sum(still(line.quantity - line.canceled - line.billed, 0)).label("unbilled"),
            ).where(line.order_id == order.id)
        )
    ).one()
    return {
        "receipt_status": receipt_status(sums.received, sums.rest),
        "bill_status": bill_status(sums.billed, sums.unbilled),
    }


async def _write_order(
    context: Context,
    connection: AsyncConnection,
    order: Any,
    values: Mapping[str, Any],
    *,
    operation: str,
    action: str,
    told: Mapping[str, Any] | None = None,
) -> None:
    """Change a locked order to ``values``, count its version, and leave the trail."""
    await write_document(
        context,
        connection,
        PURCHASE,
        order,
        values,
        operation=operation,
        action=action,
        told=told,
    )

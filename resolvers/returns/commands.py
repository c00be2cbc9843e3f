"""The verb of returns: what customers send back, and what becomes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import BigInteger, any_, bindparam, func, insert, select
from sqlalchemy.dialects.postgresql import ARRAY

from resolvers.catalog.commands import lines_in_stock_units, unit_asked
from resolvers.core.amounts import share_of
from resolvers.core.command import CommandRefused, Outcome, run_command, write_audit
from resolvers.core.context import Context
from resolvers.core.document import Asked, lock_document, naming, request_for
from resolvers.core.errors import ErpError, Invalid, NotFound
from resolvers.core.quantities import check_quantity, check_unit
from resolvers.core.table import as_given
from resolvers.core.transaction import Transaction
from resolvers.inventory.commands import (
    CUSTOMER,
    RETURN,
    SCRAP,
    Goods,
    move_goods,
    places_to_put,
    virtual_location,
)
from resolvers.inventory.loaders import GOODS_RETURN_LINE, SALES_ORDER_LINE
from resolvers.inventory.loaders import lot as lot_entity
from resolvers.inventory.loaders import stock_move as move_entity
from resolvers.returns.rules import Disposition
from resolvers.returns.tables import goods_return, goods_return_line
from resolvers.sales.commands import (
    ORDER,
    RETURN_GOODS,
    lock_stock_waited_for,
    lock_waiting,
    order_lines,
    promise_waiting,
    refuse_action,
    write_returned,
)
from resolvers.sales.loaders import sales_order, sales_order_line
from resolvers.valuation.commands import digits_of_books, sold_for

MAX_LINES: Final = 200
"""Most lines of one return."""
MAX_REASON: Final = 200
"""Most characters of the reason."""

_move = move_entity.columns
_lot = lot_entity.columns


@dataclass(frozen=True, slots=True)
class ReturnLine:
    """So much of an order's line that came back, of a lot if it is tracked."""

    order_line_id: int
    quantity: Decimal
    disposition: Disposition
    lot_number: str | None = None
    uom: str | None = None


async def return_goods(
    context: Context, key: str, asked: Asked, lines: Sequence[ReturnLine], reason: str
) -> Outcome:
    """Take back what left for an order: to be sold again, to be looked at, or to be scrapped.

    What can be sold again goes to orders that wait for it. Returns the order's ``id``, the
    ``return_id``, the ``move_ids`` of the stock ledger and the ``reserved_ids`` of the sales orders
    that got something.

    Raises:
        CommandRefused: there is no such order, it changed, less of a line or of a lot left than
            came back, or the warehouse has no place for it.

    """
    errors: list[ErpError] = []
    if not 1 <= len(lines) <= MAX_LINES:
        errors.append(Invalid(f"Give 1 to {MAX_LINES} lines.", path=("lines",)))
    if not 1 <= len(reason) <= MAX_REASON:
        errors.append(Invalid(f"reason must have 1 to {MAX_REASON} characters.", path=("reason",)))
    for position, line in enumerate(lines):
        errors += check_quantity(line.quantity, ("lines", str(position), "qty"))
    if errors:
        raise CommandRefused(errors)

    async def body(connection: Transaction) -> Outcome:
        waiting = await _lock_waiting(connection, asked.id, lines)
        order = await lock_document(connection, ORDER, asked)
        with naming({"id": asked.id}) as it:
            refusal = refuse_action(order, RETURN_GOODS, asked.at)
            if refusal is not None:
                raise CommandRefused([refusal])
            return {
                **it,
                **await _take_back(context, connection, key, order, waiting, lines, reason),
            }

    return await run_command(
        context,
        operation="returnGoods",
        key=key,
        request=request_for(
            asked,
            {
                "lines": [
                    [
                        line.order_line_id,
                        f"{line.quantity.normalize():f}",
                        line.disposition,
                        line.lot_number,
                        *unit_asked(line.uom),
                    ]
                    for line in lines
                ],
                "reason": reason,
            },
        ),
        cause="RETURN",
        document=f"SalesOrder:{asked.id}",
        body=body,
    )


async def _lock_waiting(
    connection: Transaction, order_id: int, lines: Sequence[ReturnLine]
) -> list[Any]:
    """Lock the orders that wait for what can be sold again, and the order it came back of."""
    order, line = sales_order.columns, sales_order_line.columns
    found = await connection.execute(
        select(line["id"], line["warehouse_id"], line["product_id"])
        .join(sales_order_line.table, line["order_id"] == order["id"])
        .where(
            order["id"] == bindparam("order", order_id, type_=as_given(order["id"].type)),
            line["id"] == any_(bindparam("ids", type_=ARRAY(BigInteger))),
        ),
        {"ids": [one.order_line_id for one in lines]},
    )
    rows = {row.id: row for row in found}
    restocked = {
        rows[one.order_line_id].product_id
        for one in lines
        if one.disposition is Disposition.RESTOCK and one.order_line_id in rows
    }
    first = rows.get(lines[0].order_line_id)
    if first is None or not restocked:
        return []
    return await lock_waiting(connection, first.warehouse_id, sorted(restocked), besides=order_id)


async def _take_back(  # noqa: PLR0917 - what a return is made of
    context: Context,
    connection: Transaction,
    key: str,
    order: Any,
    waiting: Sequence[Any],
    came_back: Sequence[ReturnLine],
    reason: str,
) -> Outcome:
    rows = {row.id: row for row in await order_lines(connection, order)}
    lines = await lines_in_stock_units(
        connection,
        came_back,
        lambda line: getattr(rows.get(line.order_line_id), "product_id", None),
        {"quantity": "qty"},
    )
    _refuse_more(lines, rows)
    lot_ids = await _lots_that_left(connection, lines, rows)
    # all of it goes to where the first line left from
    warehouse_id = rows[lines[0].order_line_id].warehouse_id
    targets = await _targets(connection, warehouse_id, lines)
    costs = await _costs(context, connection, lines)
    return_id, line_ids = await _write_return(
        context, connection, order, lines, rows=rows, reason=reason
    )
    customers = await virtual_location(connection, CUSTOMER)
    goods = [
        Goods(rows[line.order_line_id].product_id, customers, line.quantity, lot_id, line_id, cost)
        for line, lot_id, line_id, cost in zip(lines, lot_ids, line_ids, costs, strict=True)
    ]
    product_ids = [one.product_id for one in goods]
    await lock_stock_waited_for(connection, waiting, warehouse_id, product_ids)
    move_ids = await move_goods(
        context,
        connection,
        key,
        goods,
        [(customers, targets[line.disposition]) for line in lines],
        kind=RETURN,
        source=GOODS_RETURN_LINE,
    )
    back: dict[int, Decimal] = {}
    for line in lines:
        back[line.order_line_id] = back.get(line.order_line_id, Decimal(0)) + line.quantity
    await write_returned(context, connection, order, back, operation="returnGoods")
    restocked = {
        rows[line.order_line_id].product_id
        for line in lines
        if line.disposition is Disposition.RESTOCK
    }
    reserved_ids = await promise_waiting(
        context,
        connection,
        waiting,
        warehouse_id,
        sorted(restocked),
        operation="returnGoods",
    )
    return {"return_id": return_id, "move_ids": move_ids, "reserved_ids": reserved_ids}


def _refuse_more(lines: Sequence[ReturnLine], rows: dict[int, Any]) -> None:
    """Refuse lines of other orders, more than left, and lots where there are none."""
    errors: list[ErpError] = []
    left = {id_: row.shipped - row.returned for id_, row in rows.items()}
    for position, line in enumerate(lines):
        at = ("lines", str(position))
        row = rows.get(line.order_line_id)
        if row is None:
            errors.append(NotFound("The order has no such line.", path=(*at, "salesOrderLineId")))
            continue
        if left[row.id] < line.quantity:
            errors.append(
                Invalid(
                    "Less of the line left and did not come back yet.",
                    path=(*at, "qty"),
                    details={"left": f"{left[row.id]:f}"},
                )
            )
        left[row.id] -= line.quantity
        if (row.tracking == "NONE") != (line.lot_number is None):
            message = (
                f"{row.sku} is not tracked by lots; leave lotNumber out."
                if row.tracking == "NONE"
                else f"{row.sku} is tracked; say which lot or serial number came back."
            )
            errors.append(Invalid(message, path=(*at, "lotNumber")))
        elif row.tracking == "SERIAL":
            errors += check_unit(line.quantity, (*at, "qty"))
    if errors:
        raise CommandRefused(errors)


async def _lots_that_left(
    connection: Transaction, lines: Sequence[ReturnLine], rows: dict[int, Any]
) -> list[int | None]:
    """Return the lot of each line; refuse those of which less left with the order's line."""
    tracked = sorted({line.order_line_id for line in lines if line.lot_number is not None})
    if not tracked:
        return [None] * len(lines)
    left = await _moved_by_lot(connection, tracked)
    errors: list[ErpError] = []
    lot_ids: list[int | None] = []
    for position, line in enumerate(lines):
        if line.lot_number is None:
            lot_ids.append(None)
            continue
        lot_id, rest = left.get((line.order_line_id, line.lot_number), (None, Decimal(0)))
        lot_ids.append(lot_id)
        if rest < line.quantity:
            errors.append(
                Invalid(
                    f"Less of {line.lot_number} of {rows[line.order_line_id].sku} left with the "
                    "line and did not come back yet.",
                    path=("lines", str(position), "lotNumber"),
                    details={"left": f"{rest:f}"},
                )
            )
        left[line.order_line_id, line.lot_number] = (lot_id, rest - line.quantity)
    if errors:
        raise CommandRefused(errors)
    return lot_ids


async def _moved_by_lot(
    connection: Transaction, line_ids: Sequence[int]
) -> dict[tuple[int, str], tuple[int | None, Decimal]]:
    """Return by order line and lot number which lot left, and how much of it is still away."""
    back = goods_return_line.c
    ids = any_(bindparam("lines", type_=ARRAY(BigInteger)))
    left = select(_move["source_id"].label("line_id"), _move["lot_id"], _move["quantity"]).where(
        _move["source"] == SALES_ORDER_LINE,
        _move["source_id"] == ids,
        _move["kind"] == "SHIPMENT",
    )
    came_back = (
        select(back.order_line_id, _move["lot_id"], -_move["quantity"])
        .join(
            move_entity.table,
            (_move["source"] == GOODS_RETURN_LINE) & (_move["source_id"] == back.id),
        )
        .where(back.order_line_id == ids)
    )
    moved = left.union_all(came_back).subquery("moved")
    found = await connection.execute(
        select(moved.c.line_id, moved.c.lot_id, _lot["number"], func.sum(moved.c.quantity))
        .join(lot_entity.table, _lot["id"] == moved.c.lot_id)
        .group_by(moved.c.line_id, moved.c.lot_id, _lot["number"]),
        {"lines": list(line_ids)},
    )
    return {(line_id, number): (lot_id, rest) for line_id, lot_id, number, rest in found}


async def _costs(
    context: Context, connection: Transaction, lines: Sequence[ReturnLine]
) -> list[Decimal | None]:
    """Return what the goods of each line cost when they left; None where they are not taken in.

    Parts of a line that come back one after the other cost what all of it did, to the last cent.
    """
    kept = [line for line in lines if line.disposition is not Disposition.SCRAP]
    if not kept:
        return [None] * len(lines)
    ids = sorted({line.order_line_id for line in kept})
    sold = await sold_for(connection, ids)
    digits = await digits_of_books(context, connection)
    column = goods_return_line.c
    found = await connection.execute(
        select(column.order_line_id, func.sum(column.quantity).label("came"))
        .where(
            column.order_line_id == any_(bindparam("lines", type_=ARRAY(BigInteger))),
            column.disposition != Disposition.SCRAP,
        )
        .group_by(column.order_line_id),
        {"lines": ids},
    )
    back = {row.order_line_id: row.came for row in found}
    costs: list[Decimal | None] = []
    for line in lines:
        known = sold.get(line.order_line_id)
        if known is None or line.disposition is Disposition.SCRAP:
            costs.append(None)
            continue
        before = back.get(line.order_line_id, Decimal(0))
        back[line.order_line_id] = before + line.quantity
        cost = share_of(known.cost, before + line.quantity, known.quantity, digits)
        costs.append(cost - share_of(known.cost, before, known.quantity, digits))
    return costs


async def _targets(
    connection: Transaction, warehouse_id: int, lines: Sequence[ReturnLine]
) -> dict[Disposition, int]:
    """Return where goods go in a warehouse by what becomes of them."""
    places = await places_to_put(connection, warehouse_id)
    targets = {Disposition.RESTOCK: places.to_sell, Disposition.INSPECT: places.aside}
    if any(line.disposition is Disposition.SCRAP for line in lines):
        targets[Disposition.SCRAP] = await virtual_location(connection, SCRAP)
    errors: list[ErpError] = [
        NotFound("The warehouse has no place for it.", path=("lines", str(position), "disposition"))
        for position, line in enumerate(lines)
        if targets[line.disposition] is None
    ]
    if errors:
        raise CommandRefused(errors)
    return {one: place for one, place in targets.items() if place is not None}


async def _write_return(
    context: Context,
    connection: Transaction,
    order: Any,
    lines: Sequence[ReturnLine],
    *,
    rows: dict[int, Any],
    reason: str,
) -> tuple[int, list[int]]:
    now = context.clock()
    owner = {"company_id": order.company_id, "partner_id": order.partner_id}
    made = await connection.execute(
        insert(goods_return)
        .values(
            **owner,
            number=f"RT-{now.year}-",  # completed with the id
            order_id=order.id,
            warehouse_id=rows[lines[0].order_line_id].warehouse_id,
            reason=reason,
            received_on=now.date(),
            posted_at=now,
            posted_by=context.principal.actor,
        )
        .returning(goods_return.c.id)
    )
    return_id = int(made.scalar_one())
    written = await connection.execute(
        insert(goods_return_line).returning(goods_return_line.c.id, sort_by_parameter_order=True),
        [
            {
                **owner,
                "return_id": return_id,
                "position": position,
                "order_line_id": line.order_line_id,
                "product_id": rows[line.order_line_id].product_id,
                "quantity": line.quantity,
                "disposition": line.disposition,
            }
            for position, line in enumerate(lines, start=1)
        ],
    )
    line_ids = [row.id for row in written]
    await write_audit(
        context,
        connection,
        operation="returnGoods",
        action="post",
        entity="GoodsReturn",
        changes={return_id: {"lines": len(line_ids), "reason": reason}},
    )
    return return_id, line_ids

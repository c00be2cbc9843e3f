"""The verbs of shipments, and of orders whose goods move: one function per command.

An order is locked before its shipments, so that no two of them wait for one another.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import bindparam, func, insert, select, update

from resolvers.catalog.commands import lines_in_stock_units, unit_asked
from resolvers.core.command import CommandRefused, Outcome, run_command, write_audit
from resolvers.core.context import Context
from resolvers.core.document import (
    Asked,
    Document,
    lock_document,
    naming,
    request_for,
    write_document,
)
from resolvers.core.errors import (
    ErpError,
    InsufficientStock,
    Invalid,
    InvalidTransition,
    NotFound,
)
from resolvers.core.quantities import check_quantity
from resolvers.core.table import as_given
from resolvers.core.transaction import Transaction
from resolvers.fulfillment.rules import (
    OPEN,
    ShipmentAction,
    ShipmentState,
    StepState,
    shipment_actions,
)
from resolvers.fulfillment.tables import fulfillment_step, package, shipment, shipment_line
from resolvers.inventory.commands import Goods, ship_goods, stock_to_pick
from resolvers.inventory.loaders import SALES_ORDER_LINE
from resolvers.sales.commands import (
    CANCEL,
    SHIP,
    cancel_lines,
    change_order,
    lock_order,
    order_lines,
    refuse_part,
    write_shipped,
)

MAX_LINES: Final = 200
"""Most lines of one shipment that are named."""
MAX_TEXT: Final = 100
"""Most characters of a carrier's name or a tracking number."""
MAX_PACKAGES: Final = 100
"""Most parcels of one shipment."""

SHIPMENT: Final = Document("Shipment", shipment, "shipment")


@dataclass(frozen=True, slots=True)
class ShipLine:
    """So much of an order's line that is to leave, of the lot named or of what is first to go."""

    order_line_id: int
    quantity: Decimal
    lot_number: str | None = None
    uom: str | None = None


@dataclass(frozen=True, slots=True)
class Shipping:
    """What is to leave, all that is promised if ``lines`` is None, and how it is carried."""

    lines: Sequence[ShipLine] | None
    carrier: str | None
    tracking_no: str | None
    warehouse_id: int | None = None
    """Where it leaves from, if not from all warehouses."""


async def ship_order(
    context: Context,
    key: str,
    asked: Asked,
    shipping: Shipping,
) -> Outcome:
    """Let goods of a confirmed order leave that are promised to it.

    What is in shipments that are being prepared is left to them. From each warehouse that lines
    leave from goes a shipment of its own. Returns the order's ``id``, the ``shipment_ids``, of them
    the first as ``shipment_id``, and the ``move_ids`` of the stock ledger.

    Raises:
        CommandRefused: there is no such order, it changed, is on hold, or less is promised to it or
            there of a lot than is to leave.

    """
    lines = shipping.lines
    _check(shipping)

    async def change(connection: Transaction, order: Any) -> Outcome:
        rows = await order_lines(connection, order)
        free = await _free(connection, order, rows)
        wanted = lines
        if wanted is None:
            wanted = [
                ShipLine(row.id, free[row.id])
                for row in rows
                if free[row.id] > 0 and shipping.warehouse_id in (None, row.warehouse_id)
            ]
            if not wanted:
                refusal = InsufficientStock(
                    "All that is reserved is in shipments.", path=("orderId",)
                )
                raise CommandRefused([refusal])
        products = {row.id: row.product_id for row in rows}
        wanted = await lines_in_stock_units(
            connection,
            wanted,
            lambda line: products.get(line.order_line_id),
            {"quantity": "qty"},
        )
        _refuse_more(wanted, free)
        left = _sums(wanted)
        refuse_part(order, rows, left, ("orderId",))
        by_id = {row.id: row for row in rows}
        goods = await _picked(context, connection, by_id, wanted)
        move_ids = await ship_goods(context, connection, key, goods, source=SALES_ORDER_LINE)
        shipment_ids = [
            await _write_shipment(
                context,
                connection,
                order,
                {id_: much for id_, much in left.items() if by_id[id_].warehouse_id == from_},
                warehouse_id=from_,
                products=products,
                shipping=shipping,
            )
            for from_ in sorted({by_id[id_].warehouse_id for id_ in left})
        ]
        if await write_shipped(context, connection, order, left, operation="shipOrder"):
            await _finish_steps(context, connection, order)
        return {
            "shipment_id": shipment_ids[0],
            "shipment_ids": shipment_ids,
            "move_ids": move_ids,
        }

    return await change_order(
        context,
        key,
        asked,
        action=SHIP,
        operation="shipOrder",
        cause="SHIPMENT",
        change=change,
        request={
            "lines": None
            if lines is None
            else [
                [
                    line.order_line_id,
                    f"{line.quantity.normalize():f}",
                    line.lot_number,
                    *unit_asked(line.uom),
                ]
                for line in lines
            ],
            "carrier": shipping.carrier,
            "trackingNo": shipping.tracking_no,
            # appended, so that requests without one are what they were
            **({} if shipping.warehouse_id is None else {"warehouseId": shipping.warehouse_id}),
        },
    )


async def cancel_order(context: Context, key: str, asked: Asked) -> Outcome:
    """Give up what has not left of an order: promises, shipments being prepared, and the demand.

    Raises:
        CommandRefused: there is no such order, it changed, or nothing is left to cancel.

    """

    async def change(connection: Transaction, order: Any) -> Outcome:
        canceled = await connection.execute(
            update(shipment)
            .where(shipment.c.order_id == order.id, shipment.c.state.in_(OPEN))
            .values(state=ShipmentState.CANCELED, version=shipment.c.version + 1)
            .returning(shipment.c.id, shipment.c.version)
        )
        versions = {row.id: row.version for row in canceled}
        await write_audit(
            context,
            connection,
            operation="cancelSalesOrder",
            action="cancel",
            entity="Shipment",
            changes={id_: {"state": ShipmentState.CANCELED} for id_ in versions},
            versions=versions,
        )
        if await cancel_lines(context, connection, order, operation="cancelSalesOrder"):
            await _finish_steps(context, connection, order)
        return {}

    return await change_order(
        context,
        key,
        asked,
        action=CANCEL,
        operation="cancelSalesOrder",
        cause="CANCELLATION",
        change=change,
    )


Change = Callable[[Transaction, Any, Any], Awaitable[Outcome]]
"""What a command does to a shipment, given with its order, both locked; returns what to tell."""


async def change_shipment(
    context: Context,
    key: str,
    asked: Asked,
    *,
    action: ShipmentAction,
    operation: str,
    change: Change,
    request: Mapping[str, Any] | None = None,
) -> Outcome:
    """Run ``change`` on a shipment that ``action`` can be done with now; the frame of its verbs.

    Returns what ``change`` does, and the shipment's ``shipment_id`` and its order's ``id``.

    Raises:
        CommandRefused: there is no such shipment, it changed, the action cannot be done with it, or
            its order is on hold.

    """

    async def body(connection: Transaction) -> Outcome:
        order_id = await connection.scalar(
            select(shipment.c.order_id).where(
                shipment.c.id == bindparam("id", asked.id, type_=as_given(shipment.c.id.type))
            )
        )
        if order_id is None:
            raise CommandRefused([NotFound("There is no such shipment.", path=asked.at)])
        order = await lock_order(connection, order_id)
        with naming({"shipment_id": asked.id, "id": order_id}) as it:
            row = await lock_document(connection, SHIPMENT, asked, named="shipment_id")
            possible = shipment_actions(row.state)
            if action not in possible or (order.hold is not None and action in _WORK):
                raise CommandRefused([_not_now(row, order, possible)])
            return {**it, **await change(connection, row, order)}

    return await run_command(
        context,
        operation=operation,
        key=key,
        request=request_for(asked, request),
        cause="SHIPMENT",
        document=f"{SHIPMENT.entity}:{asked.id}",
        body=body,
    )


_WORK = (ShipmentAction.START_PICKING, ShipmentAction.PACK, ShipmentAction.SHIP)


def _not_now(row: Any, order: Any, possible: Sequence[ShipmentAction]) -> InvalidTransition:
    if order.hold is not None:
        return InvalidTransition(
            "Its order is on hold; release it first.", path=("id",), details={"hold": order.hold}
        )
    return InvalidTransition(
        "This cannot be done with the shipment now.",
        path=("id",),
        details={"state": row.state, "availableActions": ", ".join(possible)},
    )


async def start_picking(context: Context, key: str, asked: Asked) -> Outcome:
    """Begin to collect the goods of a planned shipment.

    Raises:
        CommandRefused: see `change_shipment`.

    """

    async def change(connection: Transaction, row: Any, order: Any) -> Outcome:
        del order
        values = {"state": ShipmentState.PICKING}
        await _write(context, connection, row, values, operation="startPicking", action="pick")
        return {}

    return await change_shipment(
        context,
        key,
        asked,
        action=ShipmentAction.START_PICKING,
        operation="startPicking",
        change=change,
    )


async def pack_shipment(context: Context, key: str, asked: Asked, packages: int) -> Outcome:
    """Call all goods of a shipment picked, and packed in so many parcels.

    Raises:
        CommandRefused: see `change_shipment`; or there are no parcels, or too many.

    """
    if not 1 <= packages <= MAX_PACKAGES:
        message = f"packages must be 1 to {MAX_PACKAGES}."
        raise CommandRefused([Invalid(message, path=("packages",))])

    async def change(connection: Transaction, row: Any, order: Any) -> Outcome:
        del order
        await connection.execute(
            update(shipment_line)
            .where(shipment_line.c.shipment_id == row.id)
            .values(picked=shipment_line.c.quantity)
        )
        await connection.execute(
            insert(package),
            [
                {
                    "company_id": row.company_id,
                    "partner_id": row.partner_id,
                    "shipment_id": row.id,
                    "position": position,
                }
                for position in range(1, packages + 1)
            ],
        )
        values = {"state": ShipmentState.PACKED}
        await _write(context, connection, row, values, operation="packShipment", action="pack")
        return {}

    return await change_shipment(
        context,
        key,
        asked,
        action=ShipmentAction.PACK,
        operation="packShipment",
        change=change,
        request={"packages": packages},
    )


async def ship_shipment(context: Context, key: str, asked: Asked, shipping: Shipping) -> Outcome:
    """Let a packed shipment leave; ``shipping`` says how it is carried, if that is not known yet.

    Returns the ``move_ids`` of the stock ledger besides.

    Raises:
        CommandRefused: see `change_shipment`; or the goods are not in the warehouse.

    """
    _check(shipping)

    async def change(connection: Transaction, row: Any, order: Any) -> Outcome:
        found = await connection.execute(
            select(shipment_line)
            .where(shipment_line.c.shipment_id == row.id)
            .order_by(shipment_line.c.position)
        )
        rows = found.all()
        wanted = [ShipLine(line.order_line_id, line.quantity) for line in rows]
        lines = await order_lines(connection, order)
        refuse_part(order, lines, _sums(wanted), ("id",))
        goods = await _picked(context, connection, {line.id: line for line in lines}, wanted)
        move_ids = await ship_goods(context, connection, key, goods, source=SALES_ORDER_LINE)
        values = {
            "state": ShipmentState.SHIPPED,
            "shipped_at": context.clock(),
            "carrier": shipping.carrier or row.carrier,
            "tracking_no": shipping.tracking_no or row.tracking_no,
        }
        await _write(context, connection, row, values, operation="shipShipment", action="ship")
        left = _sums(wanted)
        if await write_shipped(context, connection, order, left, operation="shipShipment"):
            await _finish_steps(context, connection, order)
        return {"move_ids": move_ids}

    return await change_shipment(
        context,
        key,
        asked,
        action=ShipmentAction.SHIP,
        operation="shipShipment",
        change=change,
        request={"carrier": shipping.carrier, "trackingNo": shipping.tracking_no},
    )


async def cancel_shipment(context: Context, key: str, asked: Asked) -> Outcome:
    """Give up a shipment that has not left; its goods stay promised to the order.

    Raises:
        CommandRefused: see `change_shipment`.

    """

    async def change(connection: Transaction, row: Any, order: Any) -> Outcome:
        del order
        values = {"state": ShipmentState.CANCELED}
        await _write(context, connection, row, values, operation="cancelShipment", action="cancel")
        return {}

    return await change_shipment(
        context,
        key,
        asked,
        action=ShipmentAction.CANCEL,
        operation="cancelShipment",
        change=change,
    )


async def confirm_delivery(context: Context, key: str, asked: Asked) -> Outcome:
    """Write down that a shipment arrived today.

    Raises:
        CommandRefused: see `change_shipment`.

    """

    async def change(connection: Transaction, row: Any, order: Any) -> Outcome:
        del order
        values = {"state": ShipmentState.DELIVERED, "delivered_on": context.clock().date()}
        await _write(
            context, connection, row, values, operation="confirmDelivery", action="deliver"
        )
        return {}

    return await change_shipment(
        context,
        key,
        asked,
        action=ShipmentAction.CONFIRM_DELIVERY,
        operation="confirmDelivery",
        change=change,
    )


async def _write(
    context: Context,
    connection: Transaction,
    row: Any,
    values: Mapping[str, Any],
    *,
    operation: str,
    action: str,
) -> None:
    """Change a locked shipment to ``values``, count its version, and leave the trail."""
    await write_document(
        context,
        connection,
        SHIPMENT,
        row,
        values,
        operation=operation,
        action=action,
    )


def _sums(lines: Sequence[ShipLine]) -> dict[int, Decimal]:
    """Return how much leaves of each line of the order."""
    sums: dict[int, Decimal] = {}
    for line in lines:
        sums[line.order_line_id] = sums.get(line.order_line_id, Decimal(0)) + line.quantity
    return sums


def _check(shipping: Shipping) -> None:
    """Refuse what is wrong by itself, before anything is read."""
    lines = shipping.lines
    errors: list[ErpError] = [
        Invalid(f"{name} must have 1 to {MAX_TEXT} characters.", path=(name,))
        for name, text in (("carrier", shipping.carrier), ("trackingNo", shipping.tracking_no))
        if text is not None and not 1 <= len(text.strip()) <= MAX_TEXT
    ]
    if lines is not None and not 1 <= len(lines) <= MAX_LINES:
        errors.append(Invalid(f"Give 1 to {MAX_LINES} lines, or none at all.", path=("lines",)))
    if lines is not None and shipping.warehouse_id is not None:
        message = "Lines tell where they leave from; leave warehouseId out."
        errors.append(Invalid(message, path=("warehouseId",)))
    for position, line in enumerate(lines or ()):
        errors += check_quantity(line.quantity, ("lines", str(position), "qty"))
    if errors:
        raise CommandRefused(errors)


async def _free(connection: Transaction, order: Any, rows: Sequence[Any]) -> dict[int, Decimal]:
    """Return what is promised to each line and in no shipment that is being prepared."""
    planned = await connection.execute(
        select(shipment_line.c.order_line_id, func.sum(shipment_line.c.quantity).label("planned"))
        .join(shipment, shipment.c.id == shipment_line.c.shipment_id)
        .where(shipment.c.order_id == order.id, shipment.c.state.in_(OPEN))
        .group_by(shipment_line.c.order_line_id)
    )
    in_shipments = {row.order_line_id: row.planned for row in planned}
    return {row.id: row.reserved - in_shipments.get(row.id, Decimal(0)) for row in rows}


def _refuse_more(lines: Sequence[ShipLine], free: dict[int, Decimal]) -> None:
    errors: list[ErpError] = []
    left = dict(free)
    for position, line in enumerate(lines):
        at = ("lines", str(position))
        if line.order_line_id not in left:
            errors.append(NotFound("The order has no such line.", path=(*at, "salesOrderLineId")))
            continue
        left[line.order_line_id] -= line.quantity
        if left[line.order_line_id] < 0:
            errors.append(
                InsufficientStock(
                    "Less is reserved for the line and not in a shipment yet.",
                    path=(*at, "qty"),
                    details={"reserved": f"{free[line.order_line_id]:f}"},
                )
            )
    if errors:
        raise CommandRefused(errors)


async def _picked(
    context: Context,
    connection: Transaction,
    rows: Mapping[int, Any],
    lines: Sequence[ShipLine],
) -> list[Goods]:
    """Choose what leaves from where: lots that are named, then what is first to go.

    ``rows`` are the lines of the order, by their ids.
    """
    wanted: dict[int, list[int]] = {}
    for line in lines:
        row = rows[line.order_line_id]
        wanted.setdefault(row.warehouse_id, []).append(row.product_id)
    pickers = await stock_to_pick(connection, context.principal.company_id, wanted)
    goods: dict[int, list[Goods]] = {}
    errors: list[ErpError] = []
    for position, line in sorted(enumerate(lines), key=lambda one: one[1].lot_number is None):
        row = rows[line.order_line_id]
        parts = pickers[row.warehouse_id].take(row.product_id, line.quantity, line.lot_number)
        found = sum((part for _, part in parts), Decimal(0))
        if found < line.quantity:
            name = "qty" if line.lot_number is None else "lotNumber"
            errors.append(
                InsufficientStock(
                    "There is less of it in the warehouse."
                    if line.lot_number is None
                    else f"There is less of lot {line.lot_number} in the warehouse.",
                    path=("lines", str(position), name),
                    details={"onHand": f"{found:f}"},
                )
            )
        goods[position] = [
            Goods(row.product_id, stock.location_id, part, stock.lot_id, row.id)
            for stock, part in parts
        ]
    if errors:
        raise CommandRefused(errors)
    return [one for position in sorted(goods) for one in goods[position]]


async def _write_shipment(
    context: Context,
    connection: Transaction,
    order: Any,
    left: dict[int, Decimal],
    *,
    warehouse_id: int,
    products: dict[int, int],
    shipping: Shipping,
) -> int:
    now = context.clock()
    owner = {"company_id": order.company_id, "partner_id": order.partner_id}
    made = await connection.execute(
        insert(shipment)
        .values(
            **owner,
            number=f"SH-{now.year}-",  # completed with the id
            order_id=order.id,
            warehouse_id=warehouse_id,
            ship_to_id=order.ship_to_id,
            state=ShipmentState.SHIPPED,
            planned_on=now.date(),
            shipped_at=now,
            carrier=shipping.carrier,
            tracking_no=shipping.tracking_no,
        )
        .returning(shipment.c.id)
    )
    shipment_id = int(made.scalar_one())
    await connection.execute(
        insert(shipment_line),
        [
            {
                **owner,
                "shipment_id": shipment_id,
                "position": position,
                "order_line_id": line_id,
                "product_id": products[line_id],
                "quantity": sent,
                "picked": sent,
            }
            for position, (line_id, sent) in enumerate(left.items(), start=1)
        ],
    )
    await connection.execute(
        insert(package).values(
            **owner, shipment_id=shipment_id, position=1, tracking_no=shipping.tracking_no
        )
    )
    await write_audit(
        context,
        connection,
        operation="shipOrder",
        action="ship",
        entity="Shipment",
        changes={shipment_id: {"state": ShipmentState.SHIPPED}},
        versions={shipment_id: 1},
    )
    return shipment_id


async def _finish_steps(context: Context, connection: Transaction, order: Any) -> None:
    """Call the steps of an order done that is fulfilled."""
    step = fulfillment_step.c
    await connection.execute(
        update(fulfillment_step)
        .where(step.order_id == order.id, step.state != StepState.DONE)
        .values(state=StepState.DONE, finished_at=context.clock())
    )

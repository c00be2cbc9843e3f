"""The verbs of shipments, and of orders whose goods move: one function per command.

An order is locked before its shipments, so that no two of them wait for one another.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Text,
    any_,
    bindparam,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

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
from resolvers.core.statement import unseen
from resolvers.core.table import as_given, quantity
from resolvers.core.transaction import Transaction
from resolvers.fulfillment.rules import (
    OPEN,
    FulfillmentStepName,
    Part,
    ShipmentAction,
    ShipmentState,
    StepState,
    added_up,
    divided,
    shipment_actions,
    steps_done,
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
    """So much of an order's line that is to leave, of the lot named or of what is first to go.

    ``location_id`` names where it is taken from, as ``lot_number`` does. ``allocated`` tells the
    location and the lot, where they are known, it is taken from as long as there is something.
    """

    order_line_id: int
    quantity: Decimal
    lot_number: str | None = None
    uom: str | None = None
    location_id: int | None = None
    allocated: tuple[int | None, int | None] = (None, None)


@dataclass(frozen=True, slots=True)
class PickedLine:
    """So much of a shipment's line that was picked from another lot or location than allocated."""

    line_id: int
    quantity: Decimal
    lot_number: str | None = None
    location_id: int | None = None
    uom: str | None = None


@dataclass(frozen=True, slots=True)
class Shipping:
    """What is to leave, all that is promised if ``lines`` is None, and how it is carried."""

    lines: Sequence[ShipLine] | None
    carrier: str | None
    tracking_no: str | None
    warehouse_id: int | None = None
    """Where it leaves from, if not from all warehouses."""


@dataclass(frozen=True, slots=True)
class Planning:
    """What is to be picked and when, all that is promised and in no shipment if ``lines`` is None.

    ``planned_on`` is None for today; ``warehouse_id`` tells where it leaves from, if not from all.
    """

    lines: Sequence[ShipLine] | None = None
    planned_on: date | None = None
    warehouse_id: int | None = None


async def plan_shipment(context: Context, key: str, asked: Asked, planning: Planning) -> Outcome:
    """Have shipments prepared of goods that are promised to a confirmed order, one per warehouse.

    Nothing moves, and nothing else is promised. Returns the order's ``id`` and the
    ``shipment_ids``, of them the first as ``shipment_id``.

    Raises:
        CommandRefused: there is no such order, it changed, is on hold, or less is promised to it
            and in no shipment; or the day has passed.

    """
    today = context.clock().date()
    planned_on = planning.planned_on or today
    errors = _check_lines(planning.lines, planning.warehouse_id)
    if planned_on < today:
        errors.append(Invalid("plannedOn has passed.", path=("plannedOn",)))
    if errors:
        raise CommandRefused(errors)

    async def change(connection: Transaction, order: Any) -> Outcome:
        rows = await order_lines(connection, order)
        wanted = await _wanted(connection, order, rows, planning.lines, planning.warehouse_id)
        sums = _sums(wanted)
        refuse_part(order, rows, sums, ("orderId",))
        by_id = {row.id: row for row in rows}
        shipment_ids = []
        for from_ in sorted({by_id[id_].warehouse_id for id_ in sums}):
            lines = [
                (id_, by_id[id_].product_id, Part(None, None, much))
                for id_, much in sums.items()
                if by_id[id_].warehouse_id == from_
            ]
            values = {
                "number": f"SH-{today.year}-",  # completed with the id
                "warehouse_id": from_,
                "planned_on": planned_on,
            }
            shipment_ids.append(await _write_shipment(connection, order, values, lines))
        await write_audit(
            context,
            connection,
            operation="planShipment",
            action="plan",
            entity="Shipment",
            changes={id_: {"state": ShipmentState.PLANNED} for id_ in shipment_ids},
            versions=dict.fromkeys(shipment_ids, 1),
        )
        await _write_steps(context, connection, order)
        return {"shipment_id": shipment_ids[0], "shipment_ids": shipment_ids}

    return await change_order(
        context,
        key,
        asked,
        action=SHIP,
        operation="planShipment",
        cause="SHIPMENT",
        change=change,
        request={
            "lines": _lines_as_json(planning.lines),
            "plannedOn": planning.planned_on and planning.planned_on.isoformat(),
            "warehouseId": planning.warehouse_id,
        },
    )


def _lines_as_json(lines: Sequence[ShipLine] | None) -> list[Any] | None:
    if lines is None:
        return None
    return [
        [
            line.order_line_id,
            f"{line.quantity.normalize():f}",
            line.lot_number,
            *unit_asked(line.uom),
        ]
        for line in lines
    ]


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
    _check(shipping)

    async def change(connection: Transaction, order: Any) -> Outcome:
        rows = await order_lines(connection, order)
        wanted = await _wanted(connection, order, rows, shipping.lines, shipping.warehouse_id)
        left = _sums(wanted)
        refuse_part(order, rows, left, ("orderId",))
        by_id = {row.id: row for row in rows}
        sources = {row.id: (row.product_id, row.warehouse_id) for row in rows}
        chosen = await _choose(context, connection, sources, wanted)
        _refuse_missing(wanted, chosen)
        goods = _goods(sources, wanted, chosen)
        move_ids = await ship_goods(context, connection, key, goods, source=SALES_ORDER_LINE)
        sent: dict[int, list[Goods]] = {}
        for one in goods:
            sent.setdefault(by_id[one.source_id].warehouse_id, []).append(one)
        shipment_ids = [
            await _write_sent(context, connection, order, sent[from_], from_, shipping)
            for from_ in sorted(sent)
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
            "lines": _lines_as_json(shipping.lines),
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
    """Begin to collect the goods of a planned shipment: its lines say what to take from where.

    First what expires first, and what others were sent for last. A line that one place or lot does
    not suffice for becomes several; one that nothing is found for says nothing.

    Raises:
        CommandRefused: see `change_shipment`.

    """

    async def change(connection: Transaction, row: Any, order: Any) -> Outcome:
        del order
        rows = await _lines(connection, row)
        wanted = [ShipLine(line.order_line_id, line.quantity) for line in rows]
        chosen = await _choose(context, connection, _sources(row, rows), wanted, besides=row.id)
        await _write_parts(connection, rows, _by_id(rows, chosen))
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


async def pack_shipment(
    context: Context,
    key: str,
    asked: Asked,
    packages: int,
    lines: Sequence[PickedLine] | None = None,
) -> Outcome:
    """Call all goods of a shipment picked, and packed in so many parcels.

    They were picked as allocated but for ``lines``, which tell all of the lines they are of.

    Raises:
        CommandRefused: see `change_shipment`; or there are no parcels, or too many; or what was
            picked is not what is in the shipment, or is not there.

    """
    _check_packing(packages, lines)

    async def change(connection: Transaction, row: Any, order: Any) -> Outcome:
        if lines:
            await _repick(context, connection, row, lines)
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
        await _write_steps(context, connection, order)
        return {}

    return await change_shipment(
        context,
        key,
        asked,
        action=ShipmentAction.PACK,
        operation="packShipment",
        change=change,
        request={
            "packages": packages,
            # appended, so that requests without any are what they were
            **({} if lines is None else {"lines": [_picked_as_json(line) for line in lines]}),
        },
    )


def _picked_as_json(line: PickedLine) -> list[Any]:
    much = f"{line.quantity.normalize():f}"
    return [line.line_id, much, line.lot_number, line.location_id, *unit_asked(line.uom)]


def _check_packing(packages: int, lines: Sequence[PickedLine] | None) -> None:
    """Refuse what is wrong by itself, before anything is read."""
    errors: list[ErpError] = []
    if not 1 <= packages <= MAX_PACKAGES:
        errors.append(Invalid(f"packages must be 1 to {MAX_PACKAGES}.", path=("packages",)))
    if lines is not None and not 1 <= len(lines) <= MAX_LINES:
        errors.append(Invalid(f"Give 1 to {MAX_LINES} lines, or none at all.", path=("lines",)))
    for position, line in enumerate(lines or ()):
        errors += check_quantity(line.quantity, ("lines", str(position), "qty"))
    if errors:
        raise CommandRefused(errors)


async def _repick(
    context: Context, connection: Transaction, row: Any, lines: Sequence[PickedLine]
) -> None:
    """Let lines of a locked shipment say where their goods were taken from."""
    rows = {line.id: line for line in await _lines(connection, row)}
    unknown: list[ErpError] = [
        NotFound("The shipment has no such line.", path=("lines", str(n), "shipmentLineId"))
        for n, line in enumerate(lines)
        if line.line_id not in rows
    ]
    if unknown:
        raise CommandRefused(unknown)
    picked = await lines_in_stock_units(
        connection, lines, lambda line: rows[line.line_id].product_id, {"quantity": "qty"}
    )
    sums: dict[int, Decimal] = {}
    for line in picked:
        sums[line.line_id] = sums.get(line.line_id, Decimal(0)) + line.quantity
    other: list[ErpError] = [
        Invalid(
            "What was picked of a line must add up to its quantity.",
            path=("lines", str(n), "qty"),
            details={"qty": f"{rows[line.line_id].quantity:f}"},
        )
        for n, line in enumerate(picked)
        if sums[line.line_id] != rows[line.line_id].quantity
    ]
    if other:
        raise CommandRefused(other)
    wanted = [
        ShipLine(
            rows[line.line_id].order_line_id,
            line.quantity,
            line.lot_number,
            location_id=line.location_id,
        )
        for line in picked
    ]
    sources = _sources(row, rows.values())
    chosen = await _choose(context, connection, sources, wanted, besides=row.id)
    _refuse_missing(wanted, chosen)
    parts: dict[int, list[Part]] = {}
    for line, found in zip(picked, chosen, strict=True):
        parts.setdefault(line.line_id, []).extend(found)
    await _write_parts(connection, list(rows.values()), parts)


async def ship_shipment(context: Context, key: str, asked: Asked, shipping: Shipping) -> Outcome:
    """Let a packed shipment leave; ``shipping`` says how it is carried, if that is not known yet.

    Returns the ``move_ids`` of the stock ledger besides.

    Raises:
        CommandRefused: see `change_shipment`; or the goods are not in the warehouse.

    """
    _check(shipping)

    async def change(connection: Transaction, row: Any, order: Any) -> Outcome:
        rows = await _lines(connection, row)
        wanted = [
            ShipLine(
                line.order_line_id,
                line.quantity,
                allocated=(line.location_id, line.lot_id),
            )
            for line in rows
        ]
        lines = await order_lines(connection, order)
        # of several shipments, one from each warehouse, the first leaves once all are packed
        packed = await _in_shipments(connection, order, (ShipmentState.PACKED,))
        refuse_part(order, lines, packed, ("id",))
        sources = _sources(row, rows)
        chosen = await _choose(context, connection, sources, wanted, besides=row.id)
        _refuse_missing(wanted, chosen)
        goods = _goods(sources, wanted, chosen)
        move_ids = await ship_goods(context, connection, key, goods, source=SALES_ORDER_LINE)
        await _write_parts(connection, rows, _by_id(rows, chosen))
        values = {
            "state": ShipmentState.SHIPPED,
            "shipped_at": context.clock(),
            "carrier": shipping.carrier or row.carrier,
            "tracking_no": shipping.tracking_no or row.tracking_no,
        }
        await _write(context, connection, row, values, operation="shipShipment", action="ship")
        left = _sums(wanted)
        await write_shipped(context, connection, order, left, operation="shipShipment")
        await _write_steps(context, connection, order, left=True)
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
        values = {"state": ShipmentState.CANCELED}
        await _write(context, connection, row, values, operation="cancelShipment", action="cancel")
        await _write_steps(context, connection, order)
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
    errors: list[ErpError] = [
        Invalid(f"{name} must have 1 to {MAX_TEXT} characters.", path=(name,))
        for name, text in (("carrier", shipping.carrier), ("trackingNo", shipping.tracking_no))
        if text is not None and not 1 <= len(text.strip()) <= MAX_TEXT
    ]
    errors += _check_lines(shipping.lines, shipping.warehouse_id)
    if errors:
        raise CommandRefused(errors)


def _check_lines(lines: Sequence[ShipLine] | None, warehouse_id: int | None) -> list[ErpError]:
    """Return what is wrong with lines by themselves."""
    errors: list[ErpError] = []
    if lines is not None and not 1 <= len(lines) <= MAX_LINES:
        errors.append(Invalid(f"Give 1 to {MAX_LINES} lines, or none at all.", path=("lines",)))
    if lines is not None and warehouse_id is not None:
        message = "Lines tell where they leave from; leave warehouseId out."
        errors.append(Invalid(message, path=("warehouseId",)))
    for position, line in enumerate(lines or ()):
        errors += check_quantity(line.quantity, ("lines", str(position), "qty"))
    return errors


async def _wanted(
    connection: Transaction,
    order: Any,
    rows: Sequence[Any],
    lines: Sequence[ShipLine] | None,
    warehouse_id: int | None,
) -> Sequence[ShipLine]:
    """Return what is asked for of an order's ``rows``, in their units: all that is free if None.

    Raises:
        CommandRefused: less of it is promised to the order and in no shipment.

    """
    free = await _free(connection, order, rows)
    if lines is None:
        lines = [
            ShipLine(row.id, free[row.id])
            for row in rows
            if free[row.id] > 0 and warehouse_id in (None, row.warehouse_id)
        ]
        if not lines:
            refusal = InsufficientStock("All that is reserved is in shipments.", path=("orderId",))
            if warehouse_id is not None:
                message = "Nothing is reserved there that is in no shipment."
                refusal = InsufficientStock(message, path=("warehouseId",))
            raise CommandRefused([refusal])
    products = {row.id: row.product_id for row in rows}
    wanted = await lines_in_stock_units(
        connection,
        lines,
        lambda line: products.get(line.order_line_id),
        {"quantity": "qty"},
    )
    _refuse_more(wanted, free)
    return wanted


async def _free(connection: Transaction, order: Any, rows: Sequence[Any]) -> dict[int, Decimal]:
    """Return what is promised to each line and in no shipment that is being prepared."""
    in_shipments = await _in_shipments(connection, order, OPEN)
    return {row.id: row.reserved - in_shipments.get(row.id, Decimal(0)) for row in rows}


async def _in_shipments(
    connection: Transaction, order: Any, states: Sequence[ShipmentState]
) -> dict[int, Decimal]:
    """Return how much of each line of an order is in its shipments in some states."""
    planned = await connection.execute(
        select(shipment_line.c.order_line_id, func.sum(shipment_line.c.quantity).label("planned"))
        .join(shipment, shipment.c.id == shipment_line.c.shipment_id)
        .where(shipment.c.order_id == order.id, shipment.c.state.in_(states))
        .group_by(shipment_line.c.order_line_id)
    )
    return {row.order_line_id: row.planned for row in planned}


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


Sources = Mapping[int, tuple[int, int]]
"""Product and warehouse of lines of an order, by their ids."""


def _sources(row: Any, lines: Iterable[Any]) -> Sources:
    """Return the sources of the lines of a shipment."""
    return {line.order_line_id: (line.product_id, row.warehouse_id) for line in lines}


async def _lines(connection: Transaction, row: Any) -> Sequence[Any]:
    """Return the lines of a locked shipment, by their places in it."""
    found = await connection.execute(
        select(shipment_line)
        .where(shipment_line.c.shipment_id == row.id)
        .order_by(shipment_line.c.position)
    )
    return found.all()


async def _choose(
    context: Context,
    connection: Transaction,
    sources: Sources,
    lines: Sequence[ShipLine],
    *,
    besides: int | None = None,
) -> list[list[Part]]:
    """Lock stock and choose for each line what to take from where; less of it if it is not there.

    First where lines are allocated, then lots and locations that are named, then what is first to
    go. What is allocated to shipments that are being prepared, ``besides`` this one, goes last.
    """
    wanted: dict[int, list[int]] = {}
    for line in lines:
        product_id, warehouse_id = sources[line.order_line_id]
        wanted.setdefault(warehouse_id, []).append(product_id)
    pickers = await stock_to_pick(connection, context.principal.company_id, wanted)
    for warehouse_id, picker in pickers.items():
        for one in await _allocated(connection, warehouse_id, wanted[warehouse_id], besides):
            picker.keep(one.product_id, one.location_id, one.lot_id, one.quantity)
    parts: list[list[Part]] = [[] for _ in lines]

    def take(position: int, rest: Decimal, **where: Any) -> None:
        product_id, warehouse_id = sources[lines[position].order_line_id]
        taken = pickers[warehouse_id].take(product_id, rest, **where)
        parts[position] += [Part(stock.location_id, stock.lot_id, part) for stock, part in taken]

    for position, line in enumerate(lines):
        location_id, lot_id = line.allocated
        if location_id is not None or lot_id is not None:
            take(position, line.quantity, location_id=location_id, lot_id=lot_id)
    for position, line in sorted(enumerate(lines), key=lambda one: not _is_named(one[1])):
        rest = line.quantity - _found(parts[position])
        if rest:
            take(position, rest, lot_number=line.lot_number, location_id=line.location_id)
    return [added_up(found) for found in parts]


def _is_named(line: ShipLine) -> bool:
    """Tell whether a line says where it is taken from."""
    return line.lot_number is not None or line.location_id is not None


def _found(parts: Sequence[Part]) -> Decimal:
    return sum((part.quantity for part in parts), Decimal(0))


def _being_prepared() -> ColumnElement[bool]:
    # literals and not parameters, so that the partial index matches
    return shipment.c.state.in_([literal_column(f"'{state}'", Text) for state in OPEN])


async def _allocated(
    connection: Transaction, warehouse_id: int, product_ids: Sequence[int], besides: int | None
) -> Sequence[Any]:
    """Return what shipments that are being prepared are to take from where, but for one of them.

    Of locked products in a warehouse, so that nobody is sent anywhere meanwhile.
    """
    line, at = shipment_line.c, shipment.c
    warehouse = bindparam("warehouse", type_=as_given(at.warehouse_id.type))
    # of a product that is sold every day, lines that left long ago are not looked at
    first = (
        select(func.min(at.id))
        .where(at.warehouse_id == warehouse, _being_prepared())
        .scalar_subquery()
    )
    rows = await connection.execute(
        select(
            line.product_id,
            line.location_id,
            line.lot_id,
            func.sum(line.quantity).label("quantity"),
        )
        .join(shipment, at.id == line.shipment_id)
        .where(
            at.warehouse_id == warehouse,
            _being_prepared(),
            at.id != bindparam("besides", type_=BigInteger),
            line.shipment_id >= first,
            line.product_id == any_(bindparam("products", type_=ARRAY(BigInteger))),
            line.location_id.is_not(None),
        )
        .group_by(line.product_id, line.location_id, line.lot_id),
        {
            "warehouse": warehouse_id,
            "products": sorted(set(product_ids)),
            "besides": besides or 0,
        },
    )
    return rows.all()


def _refuse_missing(lines: Sequence[ShipLine], chosen: Sequence[Sequence[Part]]) -> None:
    errors: list[ErpError] = []
    for position, (line, parts) in enumerate(zip(lines, chosen, strict=True)):
        found = _found(parts)
        if found < line.quantity:
            of_lot = "it" if line.lot_number is None else f"lot {line.lot_number}"
            where = "in the warehouse" if line.location_id is None else "at this location"
            name = "qty" if line.location_id is None else "locationId"
            errors.append(
                InsufficientStock(
                    f"There is less of {of_lot} {where}.",
                    path=(
                        "lines",
                        str(position),
                        name if line.lot_number is None else "lotNumber",
                    ),
                    details={"onHand": f"{found:f}"},
                )
            )
    if errors:
        raise CommandRefused(errors)


def _goods(
    sources: Sources, lines: Sequence[ShipLine], chosen: Sequence[Sequence[Part]]
) -> list[Goods]:
    """Return what leaves for lines of an order; of each part it is known where it is."""
    return [
        Goods(
            sources[line.order_line_id][0],
            part.location_id,
            part.quantity,
            part.lot_id,
            line.order_line_id,
        )
        for line, parts in zip(lines, chosen, strict=True)
        for part in parts
        if part.location_id is not None
    ]


def _by_id(rows: Sequence[Any], chosen: Sequence[Sequence[Part]]) -> dict[int, Sequence[Part]]:
    return {row.id: parts for row, parts in zip(rows, chosen, strict=True)}


async def _write_parts(
    connection: Transaction, rows: Sequence[Any], parts: Mapping[int, Sequence[Part]]
) -> None:
    """Let lines of a locked shipment, by their ids, say where they are taken from.

    A line of several parts becomes several; those that are new come last in the shipment, whose
    lines ``rows`` are.
    """
    changed: list[tuple[int, Part]] = []
    added: list[dict[str, Any]] = []
    above = max(row.position for row in rows)
    for row in rows:
        if row.id not in parts:
            continue
        first, *others = divided(row.quantity, added_up(parts[row.id]))
        if first != Part(row.location_id, row.lot_id, row.quantity):
            changed.append((row.id, first))
        added += [
            {
                "company_id": row.company_id,
                "partner_id": row.partner_id,
                "shipment_id": row.shipment_id,
                "position": above + len(added) + place,
                "order_line_id": row.order_line_id,
                "product_id": row.product_id,
                "quantity": part.quantity,
                "picked": part.quantity if row.picked == row.quantity else 0,
                "location_id": part.location_id,
                "lot_id": part.lot_id,
            }
            for place, part in enumerate(others, start=1)
        ]
    if changed:
        given = (
            func.unnest(
                unseen("ids", ARRAY(BigInteger)),
                unseen("quantities", ARRAY(quantity())),
                unseen("locations", ARRAY(Integer)),
                unseen("lots", ARRAY(BigInteger)),
            )
            .table_valued("id", "quantity", "location_id", "lot_id", name="given")
            .render_derived()
        )
        await connection.execute(
            update(shipment_line)
            .where(shipment_line.c.id == given.c.id)
            .values(
                quantity=given.c.quantity,
                picked=func.least(shipment_line.c.picked, given.c.quantity),
                location_id=given.c.location_id,
                lot_id=given.c.lot_id,
            ),
            {
                "ids": [id_ for id_, _ in changed],
                "quantities": [part.quantity for _, part in changed],
                "locations": [part.location_id for _, part in changed],
                "lots": [part.lot_id for _, part in changed],
            },
        )
    if added:
        await connection.execute(insert(shipment_line), added)


async def _write_sent(  # noqa: PLR0917 - what a shipment is made of
    context: Context,
    connection: Transaction,
    order: Any,
    goods: Sequence[Goods],
    warehouse_id: int,
    shipping: Shipping,
) -> int:
    """Write down what left of a warehouse: a line of each lot and place for a line of the order."""
    now = context.clock()
    left: dict[tuple[int, int], list[Part]] = {}
    for one in goods:
        part = Part(one.location_id, one.lot_id, one.quantity)
        left.setdefault((one.source_id, one.product_id), []).append(part)
    values = {
        "number": f"SH-{now.year}-",  # completed with the id
        "warehouse_id": warehouse_id,
        "state": ShipmentState.SHIPPED,
        "planned_on": now.date(),
        "shipped_at": now,
        "carrier": shipping.carrier,
        "tracking_no": shipping.tracking_no,
    }
    lines = [
        (line_id, product_id, part)
        for (line_id, product_id), parts in left.items()
        for part in added_up(parts)
    ]
    shipment_id = await _write_shipment(connection, order, values, lines)
    await connection.execute(
        insert(package).values(
            company_id=order.company_id,
            partner_id=order.partner_id,
            shipment_id=shipment_id,
            position=1,
            tracking_no=shipping.tracking_no,
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


async def _write_shipment(
    connection: Transaction,
    order: Any,
    values: Mapping[str, Any],
    lines: Sequence[tuple[int, int, Part]],
) -> int:
    """Write a shipment of lines of an order, of a product each, and return its id."""
    owner = {"company_id": order.company_id, "partner_id": order.partner_id}
    made = await connection.execute(
        insert(shipment)
        .values(
            **owner,
            order_id=order.id,
            ship_to_id=order.ship_to_id,
            **values,
        )
        .returning(shipment.c.id)
    )
    shipment_id = int(made.scalar_one())
    left = "shipped_at" in values
    await connection.execute(
        insert(shipment_line),
        [
            {
                **owner,
                "shipment_id": shipment_id,
                "position": position,
                "order_line_id": line_id,
                "product_id": product_id,
                "quantity": part.quantity,
                "picked": part.quantity if left else 0,
                "location_id": part.location_id,
                "lot_id": part.lot_id,
            }
            for position, (line_id, product_id, part) in enumerate(lines, start=1)
        ],
    )
    return shipment_id


async def _write_steps(
    context: Context, connection: Transaction, order: Any, *, left: bool = False
) -> None:
    """Say which steps of the work on a locked order are done, by its shipments; the others are not.

    ``left`` tells that its last shipment did. A step that is done again counts once more.
    """
    prepared = await connection.execute(
        select(shipment.c.state, shipment.c.tracking_no).where(
            shipment.c.order_id == order.id, shipment.c.state.in_(OPEN)
        )
    )
    done = steps_done([(row.state, row.tracking_no is not None) for row in prepared], left=left)
    now = context.clock()
    made = upsert(fulfillment_step)
    step, new = fulfillment_step.c, made.excluded
    await connection.execute(
        made.on_conflict_do_update(
            index_elements=[step.order_id, step.step],
            set_={
                "state": new.state,
                "attempts": step.attempts + new.attempts,
                "finished_at": new.finished_at,
            },
            where=(step.state == StepState.DONE) != (new.state == StepState.DONE),
        ),
        [
            {
                "company_id": order.company_id,
                "partner_id": order.partner_id,
                "order_id": order.id,
                "step": name,
                "position": position,
                "state": StepState.DONE if name in done else StepState.PENDING,
                "attempts": int(name in done),
                "finished_at": now if name in done else None,
            }
            for position, name in enumerate(FulfillmentStepName, start=1)
        ],
    )


async def _finish_steps(context: Context, connection: Transaction, order: Any) -> None:
    """Call the steps of an order done that is fulfilled."""
    step = fulfillment_step.c
    await connection.execute(
        update(fulfillment_step)
        .where(step.order_id == order.id, step.state != StepState.DONE)
        .values(state=StepState.DONE, finished_at=context.clock())
    )

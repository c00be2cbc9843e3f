"""The verbs of transfers and counts: one function per command.

A transfer or a count is locked first, then the sales orders that wait for its goods, then stock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import BigInteger, all_, any_, bindparam, exists, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from resolvers.catalog.commands import lines_in_stock_units, unit_asked
from resolvers.catalog.loaders import product as product_entity
from resolvers.core.command import CommandRefused, Outcome, run_command, write_audit
from resolvers.core.context import Context
from resolvers.core.document import Asked, Document, change_document, write_document
from resolvers.core.errors import (
    Conflict,
    ErpError,
    InsufficientStock,
    Invalid,
    InvalidTransition,
    NotFound,
    shown,
)
from resolvers.core.quantities import check_quantity, check_unit
from resolvers.core.table import as_given, given_quantities
from resolvers.core.transaction import Transaction
from resolvers.inventory.commands import TRANSFER as MOVE_BETWEEN
from resolvers.inventory.commands import (
    TRANSIT,
    Goods,
    counted_line,
    move_goods,
    next_incoming,
    places_to_put,
    post_adjustments,
    products_of,
    stock_to_pick,
    virtual_location,
)
from resolvers.inventory.loaders import location as location_entity
from resolvers.inventory.loaders import lot as lot_entity
from resolvers.inventory.loaders import stock_balance as balance_entity
from resolvers.inventory.loaders import stock_move as move_entity
from resolvers.inventory.loaders import warehouse as warehouse_entity
from resolvers.sales.commands import lock_stock_waited_for, lock_waiting, promise_waiting
from resolvers.warehousing.rules import (
    COUNT_LINE,
    TRANSFER_LINE,
    CountAction,
    CountState,
    TransferAction,
    TransferState,
    count_actions,
    transfer_actions,
    transfer_state_after,
)
from resolvers.warehousing.tables import (
    stock_count,
    stock_count_line,
    stock_transfer,
    stock_transfer_line,
)

MAX_LINES: Final = 200
"""Most lines of one transfer, and of one call that receives or records."""
MAX_COUNT_LINES: Final = 1_000
"""Most places of one count."""
MAX_TEXT: Final = 200
"""Most characters of a count's note."""

TRANSFER: Final = Document("StockTransfer", stock_transfer, "transfer")
COUNT: Final = Document("StockCount", stock_count, "count")

_product = product_entity.columns
_lot = lot_entity.columns


@dataclass(frozen=True, slots=True)
class TransferLine:
    """So much of a product that is to be carried, of the lot named or of what is first to go."""

    sku: str
    quantity: Decimal
    lot_number: str | None = None
    uom: str | None = None


@dataclass(frozen=True, slots=True)
class NewTransfer:
    """What is carried from where to where, and when it is to be there; None: today."""

    from_warehouse_id: int
    to_warehouse_id: int
    lines: Sequence[TransferLine]
    expected_on: date | None = None


async def transfer_stock(context: Context, key: str, new: NewTransfer) -> Outcome:
    """Let goods that are promised to nobody leave a warehouse for another: all lines or none.

    They are in transit then, and incoming where they go to. Returns the ``transfer_id`` and the
    ``move_ids`` of the stock ledger.

    Raises:
        CommandRefused: a product or a warehouse is unknown, or less of a product is free, or there
            of a lot, than is to be carried.

    """
    today = context.clock().date()
    errors = _check_lines([line.quantity for line in new.lines])
    if new.from_warehouse_id == new.to_warehouse_id:
        errors.append(Invalid("It is there already.", path=("toWarehouseId",)))
    if new.expected_on is not None and new.expected_on < today:
        errors.append(Invalid("expectedOn has passed.", path=("expectedOn",)))
    if errors:
        raise CommandRefused(errors)

    async def body(connection: Transaction) -> Outcome:
        await _check_warehouses(
            connection,
            {"fromWarehouseId": new.from_warehouse_id, "toWarehouseId": new.to_warehouse_id},
        )
        products = await _goods_of(connection, new.lines)
        stocked = await lines_in_stock_units(
            connection, new.lines, lambda line: int(products[line.sku].id), {"quantity": "qty"}
        )
        transit = await virtual_location(connection, TRANSIT)
        taken = await _take(context, connection, replace(new, lines=stocked), products)
        values = {
            "company_id": context.principal.company_id,
            "to_warehouse_id": new.to_warehouse_id,
            "expected_on": new.expected_on or today,
        }
        now = context.clock()
        made = await connection.execute(
            insert(stock_transfer)
            .values(
                **values,
                number=f"TR-{now.year}-",  # completed with the id
                from_warehouse_id=new.from_warehouse_id,
                sent_on=today,
                sent_at=now,
                sent_by=context.principal.actor,
            )
            .returning(stock_transfer.c.id)
        )
        transfer_id = int(made.scalar_one())
        # one line for each lot: what comes of it is told apart
        sums: dict[tuple[int, int | None], Decimal] = {}
        for product_id, _, lot_id, part in taken:
            sums[product_id, lot_id] = sums.get((product_id, lot_id), Decimal(0)) + part
        written = await connection.execute(
            insert(stock_transfer_line).returning(
                stock_transfer_line.c.id, sort_by_parameter_order=True
            ),
            [
                {
                    **values,
                    "transfer_id": transfer_id,
                    "position": position,
                    "product_id": product_id,
                    "lot_id": lot_id,
                    "quantity": sent,
                }
                for position, ((product_id, lot_id), sent) in enumerate(sums.items(), start=1)
            ],
        )
        lines = dict(zip(sums, (row.id for row in written), strict=True))
        goods = [
            Goods(product_id, place, part, lot_id, lines[product_id, lot_id])
            for product_id, place, lot_id, part in taken
        ]
        move_ids = await move_goods(
            context,
            connection,
            key,
            goods,
            [(one.location_id, transit) for one in goods],
            kind=MOVE_BETWEEN,
            source=TRANSFER_LINE,
        )
        await write_audit(
            context,
            connection,
            operation="transferStock",
            action="send",
            entity="StockTransfer",
            changes={transfer_id: {"state": TransferState.IN_TRANSIT, "lines": len(lines)}},
            versions={transfer_id: 1},
        )
        return {"transfer_id": transfer_id, "move_ids": move_ids}

    return await run_command(
        context,
        operation="transferStock",
        key=key,
        request={
            "from": new.from_warehouse_id,
            "to": new.to_warehouse_id,
            "lines": [
                [
                    line.sku,
                    f"{line.quantity.normalize():f}",
                    line.lot_number,
                    *unit_asked(line.uom),
                ]
                for line in new.lines
            ],
            "expectedOn": None if new.expected_on is None else new.expected_on.isoformat(),
        },
        cause="TRANSFER",
        body=body,
    )


@dataclass(frozen=True, slots=True)
class TransferReceipt:
    """So much of a transfer's line that came."""

    line_id: int
    quantity: Decimal
    uom: str | None = None


async def receive_transfer(
    context: Context, key: str, asked: Asked, lines: Sequence[TransferReceipt] | None
) -> Outcome:
    """Take in what came of a transfer, everything if ``lines`` is None, and promise it on.

    Returns the ``id``, the ``move_ids`` of the stock ledger and the ``reserved_ids`` of the sales
    orders that waited for the goods and got some.

    Raises:
        CommandRefused: there is no such transfer, it changed, has ended, or more came than is on
            its way.

    """
    if lines is not None:
        errors = _check_lines([line.quantity for line in lines])
        if errors:
            raise CommandRefused(errors)

    async def change(connection: Transaction, row: Any) -> Outcome:
        on_their_way = await _lines_in_transit(connection, row)
        came = lines
        if came is None:
            came = [TransferReceipt(id_, line.in_transit) for id_, line in on_their_way.items()]
        came = await lines_in_stock_units(
            connection,
            came,
            lambda line: getattr(on_their_way.get(line.line_id), "product_id", None),
            {"quantity": "qty"},
        )
        sums = _sums(came, on_their_way)
        product_ids = sorted({on_their_way[id_].product_id for id_ in sums})
        waiting = await lock_waiting(connection, row.to_warehouse_id, product_ids)
        await lock_stock_waited_for(connection, waiting, row.to_warehouse_id, product_ids)
        move_ids = await _leave_transit(
            context, connection, key, on_their_way, sums, warehouse_id=row.to_warehouse_id
        )
        reserved_ids = await promise_waiting(
            context,
            connection,
            waiting,
            row.to_warehouse_id,
            product_ids,
            operation="receiveTransfer",
        )
        await _write_ended(
            context, connection, row, sums, operation="receiveTransfer", returned=False
        )
        return {"move_ids": move_ids, "reserved_ids": reserved_ids}

    return await _change_transfer(
        context,
        key,
        asked,
        action=TransferAction.RECEIVE,
        operation="receiveTransfer",
        change=change,
        request={
            "lines": None
            if lines is None
            else [
                [line.line_id, f"{line.quantity.normalize():f}", *unit_asked(line.uom)]
                for line in lines
            ]
        },
    )


async def cancel_transfer(context: Context, key: str, asked: Asked) -> Outcome:
    """Let what is on its way go back to where it came from, and to orders that wait for it there.

    Returns the ``transfer_id`` and the ``move_ids`` of the stock ledger.

    Raises:
        CommandRefused: there is no such transfer, it changed, or has ended.

    """

    async def change(connection: Transaction, row: Any) -> Outcome:
        on_their_way = await _lines_in_transit(connection, row)
        sums = {id_: line.in_transit for id_, line in on_their_way.items()}
        product_ids = sorted({line.product_id for line in on_their_way.values()})
        waiting = await lock_waiting(connection, row.from_warehouse_id, product_ids)
        await lock_stock_waited_for(connection, waiting, row.from_warehouse_id, product_ids)
        move_ids = await _leave_transit(
            context, connection, key, on_their_way, sums, warehouse_id=row.from_warehouse_id
        )
        await promise_waiting(
            context,
            connection,
            waiting,
            row.from_warehouse_id,
            product_ids,
            operation="cancelTransfer",
        )
        await _write_ended(
            context, connection, row, sums, operation="cancelTransfer", returned=True
        )
        return {"transfer_id": row.id, "move_ids": move_ids}

    return await _change_transfer(
        context,
        key,
        asked,
        action=TransferAction.CANCEL,
        operation="cancelTransfer",
        change=change,
    )


async def _change_transfer(
    context: Context,
    key: str,
    asked: Asked,
    *,
    action: TransferAction,
    operation: str,
    change: Any,
    request: Mapping[str, Any] | None = None,
) -> Outcome:
    def refuse(row: Any) -> InvalidTransition | None:
        possible = transfer_actions(row.state)
        if action in possible:
            return None
        return InvalidTransition(
            "Nothing of the transfer is on its way.", path=asked.at, details={"state": row.state}
        )

    return await change_document(
        context,
        key,
        TRANSFER,
        asked,
        operation=operation,
        cause="TRANSFER",
        refuse=refuse,
        change=change,
        request=request,
    )


def _check_lines(quantities: Sequence[Decimal]) -> list[ErpError]:
    """Find what is wrong with lines by themselves."""
    errors: list[ErpError] = []
    if not 1 <= len(quantities) <= MAX_LINES:
        errors.append(Invalid(f"Give 1 to {MAX_LINES} lines.", path=("lines",)))
    for position, one in enumerate(quantities):
        errors += check_quantity(one, ("lines", str(position), "qty"))
    return errors


async def _check_warehouses(connection: Transaction, named: Mapping[str, int]) -> None:
    """Refuse warehouses that are not there, or not in use; ``named`` by the input's names."""
    warehouse = warehouse_entity.columns
    ids = bindparam("ids", type_=ARRAY(as_given(warehouse["id"].type)))
    found = await connection.execute(
        select(warehouse["id"]).where(
            warehouse["id"] == any_(ids), warehouse["archived_at"].is_(None)
        ),
        {"ids": list(named.values())},
    )
    known = {row.id for row in found}
    unknown: list[ErpError] = [
        NotFound("There is no such warehouse.", path=(name,))
        for name, id_ in named.items()
        if id_ not in known
    ]
    if unknown:
        raise CommandRefused(unknown)


async def _goods_of(connection: Transaction, lines: Sequence[TransferLine]) -> Mapping[str, Any]:
    """Return the products of lines by SKU; refuse what is no goods or names a lot it has not."""
    products = await products_of(connection, [line.sku for line in lines])
    errors: list[ErpError] = []
    for position, line in enumerate(lines):
        at = ("lines", str(position))
        product = products.get(line.sku)
        if product is None:
            errors.append(NotFound(f"There is no product {shown(line.sku)}.", path=(*at, "sku")))
        elif product.kind != "GOODS":
            errors.append(Invalid(f"{line.sku} is a service and has no stock.", path=(*at, "sku")))
        elif product.tracking == "NONE" and line.lot_number is not None:
            errors.append(
                Invalid(
                    f"{line.sku} is not tracked by lots; leave lotNumber out.",
                    path=(*at, "lotNumber"),
                )
            )
    if errors:
        raise CommandRefused(errors)
    return products


async def _take(
    context: Context, connection: Transaction, new: NewTransfer, products: Mapping[str, Any]
) -> list[tuple[int, int, int | None, Decimal]]:
    """Choose what leaves from where, as (product, location, lot, quantity); stock is locked."""
    pickers = await stock_to_pick(
        connection,
        context.principal.company_id,
        {new.from_warehouse_id: [products[line.sku].id for line in new.lines]},
    )
    picker = pickers[new.from_warehouse_id]
    taken: dict[int, list[tuple[int, int, int | None, Decimal]]] = {}
    missing: list[tuple[int, InsufficientStock]] = []
    # those that name a lot first: the others take what is left
    for position, line in sorted(enumerate(new.lines), key=lambda one: one[1].lot_number is None):
        product_id = products[line.sku].id
        parts = picker.take(product_id, line.quantity, line.lot_number)
        found = sum((part for _, part in parts), Decimal(0))
        free = picker.free[product_id]
        picker.free[product_id] = free - line.quantity
        if free < line.quantity or found < line.quantity:
            missing.append((product_id, _too_little(line, free, found, position)))
        taken[position] = [
            (product_id, stock.location_id, stock.lot_id, part) for stock, part in parts
        ]
    if missing:
        places = [(product_id, new.from_warehouse_id) for product_id, _ in missing]
        coming = await next_incoming(connection, places)
        for place, (_, error) in zip(places, missing, strict=True):
            if place in coming:
                day, quantity = coming[place]
                error.details["nextIncomingOn"] = day.isoformat()
                error.details["nextIncomingQty"] = f"{quantity:f}"
        raise CommandRefused([error for _, error in missing])
    return [one for position in sorted(taken) for one in taken[position]]


def _too_little(
    line: TransferLine, free: Decimal, found: Decimal, position: int
) -> InsufficientStock:
    at = ("lines", str(position))
    if free < line.quantity:
        return InsufficientStock(
            f"Less of {line.sku} is free in the warehouse; the rest is promised to orders.",
            path=(*at, "qty"),
            details={"available": f"{max(free, Decimal(0)):f}"},
        )
    if line.lot_number is None:
        message, name = f"There is less of {line.sku} in the warehouse.", "qty"
    else:
        message, name = f"There is less of lot {line.lot_number} in the warehouse.", "lotNumber"
    return InsufficientStock(message, path=(*at, name), details={"onHand": f"{found:f}"})


async def _lines_in_transit(connection: Transaction, transfer: Any) -> dict[int, Any]:
    """Return the lines of a locked transfer of which something is on its way, by their ids."""
    line = stock_transfer_line.c
    in_transit = line.quantity - line.received - line.returned
    found = await connection.execute(
        select(
            line.id,
            line.product_id,
            line.lot_id,
            in_transit.label("in_transit"),
            _product["tracking"],
        )
        .join(product_entity.table, _product["id"] == line.product_id)
        .where(line.transfer_id == transfer.id, in_transit > 0)
        .order_by(line.position)
    )
    return {row.id: row for row in found}


def _sums(came: Sequence[TransferReceipt], on_their_way: Mapping[int, Any]) -> dict[int, Decimal]:
    """Add up what came of each line; refuse what is of none, and more than is on its way."""
    sums: dict[int, Decimal] = {}
    errors: list[ErpError] = []
    for position, line in enumerate(came):
        at = ("lines", str(position))
        if line.line_id not in on_their_way:
            errors.append(
                NotFound("The transfer has no such line on its way.", path=(*at, "transferLineId"))
            )
            continue
        sums[line.line_id] = sums.get(line.line_id, Decimal(0)) + line.quantity
        most = on_their_way[line.line_id].in_transit
        if on_their_way[line.line_id].tracking == "SERIAL":
            errors += check_unit(line.quantity, (*at, "qty"))
        if sums[line.line_id] > most:
            errors.append(
                Invalid(
                    "Less of it is on its way.",
                    path=(*at, "qty"),
                    details={"inTransit": f"{most:f}"},
                )
            )
    if errors:
        raise CommandRefused(errors)
    return sums


async def _leave_transit(
    context: Context,
    connection: Transaction,
    key: str,
    lines: Mapping[int, Any],
    sums: Mapping[int, Decimal],
    *,
    warehouse_id: int,
) -> list[int]:
    """Let goods come from transit to the first place of a warehouse that is sold from."""
    places = await places_to_put(connection, warehouse_id)
    if places.to_sell is None:
        raise CommandRefused([NotFound("The warehouse has no place that goods are sold from.")])
    transit = await virtual_location(connection, TRANSIT)
    goods = [
        Goods(lines[id_].product_id, transit, came, lines[id_].lot_id, id_)
        for id_, came in sums.items()
    ]
    return await move_goods(
        context,
        connection,
        key,
        goods,
        [(transit, places.to_sell) for _ in goods],
        kind=MOVE_BETWEEN,
        source=TRANSFER_LINE,
    )


async def _write_ended(
    context: Context,
    connection: Transaction,
    transfer: Any,
    sums: Mapping[int, Decimal],
    *,
    operation: str,
    returned: bool,
) -> None:
    """Write down what came of the lines of a locked transfer, or went back; and what follows."""
    line = stock_transfer_line.c
    given = given_quantities()
    ended = line.returned if returned else line.received
    await connection.execute(
        update(stock_transfer_line)
        .where(line.id == given.c.id)
        .values({ended: ended + given.c.quantity}),
        {"ids": list(sums), "given": list(sums.values())},
    )
    totals = (
        await connection.execute(
            select(
                func.sum(line.received).label("came"),
                func.sum(line.quantity - line.received - line.returned).label("coming"),
            ).where(line.transfer_id == transfer.id)
        )
    ).one()
    state = transfer_state_after(totals.came, totals.coming, ended=returned)
    on_its_way = state is TransferState.IN_TRANSIT
    await write_document(
        context,
        connection,
        TRANSFER,
        transfer,
        {"state": state, "ended_at": None if on_its_way else context.clock()},
        operation=operation,
        action="return" if returned else "receive",
        told={"returned" if returned else "received": {str(k): f"{v:f}" for k, v in sums.items()}},
    )


@dataclass(frozen=True, slots=True)
class NewCount:
    """What is to be counted in a warehouse: all places with stock, or those of some of it."""

    warehouse_id: int
    skus: Sequence[str] | None
    location_ids: Sequence[int] | None
    note: str | None


async def start_count(context: Context, key: str, new: NewCount) -> Outcome:
    """Begin to count: one line for each product, place and lot that there is stock of.

    Each line remembers how much should be there, and the last move that says so. Returns the
    ``id`` of the count.

    Raises:
        CommandRefused: the warehouse, a product or a place is unknown, there is nothing to count,
            or there is too much of it.

    """
    if new.note is not None and not 1 <= len(new.note) <= MAX_TEXT:
        raise CommandRefused(
            [Invalid(f"note must have 1 to {MAX_TEXT} characters.", path=("note",))]
        )

    async def body(connection: Transaction) -> Outcome:
        await _check_warehouses(connection, {"warehouseId": new.warehouse_id})
        rows = await _to_count(connection, new)
        now = context.clock()
        company_id = context.principal.company_id
        made = await connection.execute(
            insert(stock_count)
            .values(
                company_id=company_id,
                number=f"CT-{now.year}-",  # completed with the id
                warehouse_id=new.warehouse_id,
                note=new.note,
                started_on=now.date(),
                started_at=now,
                started_by=context.principal.actor,
            )
            .returning(stock_count.c.id)
        )
        count_id = int(made.scalar_one())
        await connection.execute(
            insert(stock_count_line),
            [
                {
                    "company_id": company_id,
                    "count_id": count_id,
                    "position": position,
                    "product_id": row.product_id,
                    "location_id": row.location_id,
                    "lot_id": row.lot_id,
                    "expected": row.on_hand,
                    "last_move_id": row.last_move_id,
                }
                for position, row in enumerate(rows, start=1)
            ],
        )
        await write_audit(
            context,
            connection,
            operation="startStockCount",
            action="start",
            entity="StockCount",
            changes={count_id: {"state": CountState.COUNTING, "lines": len(rows)}},
            versions={count_id: 1},
        )
        return {"id": count_id}

    return await run_command(
        context,
        operation="startStockCount",
        key=key,
        request={
            "warehouseId": new.warehouse_id,
            "skus": None if new.skus is None else list(new.skus),
            "locationIds": None if new.location_ids is None else list(new.location_ids),
            "note": new.note,
        },
        cause="COUNT",
        body=body,
    )


def _last_move(product_id: Any, location_id: Any, lot_id: Any) -> Any:
    """Return the last move of a product and lot at a place; those of one place never overtake."""
    move = move_entity.columns
    return select(func.coalesce(func.max(move["id"]), 0)).where(
        move["product_id"] == product_id,
        or_(move["from_location_id"] == location_id, move["to_location_id"] == location_id),
        move["lot_id"].is_not_distinct_from(lot_id),
    )


async def _to_count(connection: Transaction, new: NewCount) -> Sequence[Any]:
    """Return what there is of what is to be counted, in the order of places."""
    balance, place = balance_entity.columns, location_entity.columns
    last = _last_move(balance["product_id"], balance["location_id"], balance["lot_id"])
    wanted = (
        select(
            balance["product_id"],
            balance["location_id"],
            balance["lot_id"],
            balance["on_hand"],
            last.scalar_subquery().label("last_move_id"),
        )
        .join(location_entity.table, place["id"] == balance["location_id"])
        .where(
            place["warehouse_id"] == bindparam("warehouse", type_=as_given(place["id"].type)),
            balance["on_hand"] != 0,
        )
        .order_by(place["code"], balance["product_id"], balance["lot_id"])
        .limit(MAX_COUNT_LINES + 1)
    )
    given: dict[str, Any] = {"warehouse": new.warehouse_id}
    if new.skus is not None:
        products = await products_of(connection, new.skus)
        unknown: list[ErpError] = [
            NotFound(f"There is no product {shown(sku)}.", path=("skus", str(position)))
            for position, sku in enumerate(new.skus)
            if sku not in products
        ]
        if unknown:
            raise CommandRefused(unknown)
        wanted = wanted.where(
            balance["product_id"] == any_(bindparam("products", type_=ARRAY(BigInteger)))
        )
        given["products"] = [row.id for row in products.values()]
    if new.location_ids is not None:
        await _check_locations(connection, new)
        wanted = wanted.where(
            balance["location_id"] == any_(bindparam("places", type_=ARRAY(BigInteger)))
        )
        given["places"] = list(new.location_ids)
    rows = (await connection.execute(wanted, given)).all()
    if not rows:
        raise CommandRefused([Invalid("There is nothing to count.")])
    if len(rows) > MAX_COUNT_LINES:
        message = f"More than {MAX_COUNT_LINES} places; name products or locations."
        raise CommandRefused([Invalid(message)])
    return rows


async def _check_locations(connection: Transaction, new: NewCount) -> None:
    place = location_entity.columns
    found = await connection.execute(
        select(place["id"]).where(
            place["id"] == any_(bindparam("places", type_=ARRAY(BigInteger))),
            place["warehouse_id"] == bindparam("warehouse", type_=as_given(place["id"].type)),
        ),
        {"places": list(new.location_ids or ()), "warehouse": new.warehouse_id},
    )
    known = {row.id for row in found}
    unknown: list[ErpError] = [
        NotFound("The warehouse has no such location.", path=("locationIds", str(position)))
        for position, id_ in enumerate(new.location_ids or ())
        if id_ not in known
    ]
    if unknown:
        raise CommandRefused(unknown)


@dataclass(frozen=True, slots=True)
class Counted:
    """How much was found of a count's line; ``again`` tells that it was counted once more."""

    line_id: int
    quantity: Decimal
    again: bool = False
    uom: str | None = None


async def record_count(
    context: Context, key: str, asked: Asked, lines: Sequence[Counted]
) -> Outcome:
    """Write down what was found. What is counted ``again`` is compared with what is there now.

    Raises:
        CommandRefused: there is no such count, it changed, has ended or has no such line, or a
            quantity is negative.

    """
    errors: list[ErpError] = []
    if not 1 <= len(lines) <= MAX_LINES:
        errors.append(Invalid(f"Give 1 to {MAX_LINES} lines.", path=("lines",)))
    for position, line in enumerate(lines):
        at = ("lines", str(position))
        if line.quantity != 0:
            errors += check_quantity(line.quantity, (*at, "countedQty"))
    if len({line.line_id for line in lines}) < len(lines):
        errors.append(Invalid("Say once of each line what was found.", path=("lines",)))
    if errors:
        raise CommandRefused(errors)

    async def change(connection: Transaction, row: Any) -> Outcome:
        line = stock_count_line.c
        found = await connection.execute(
            select(line.id, line.product_id).where(
                line.count_id == row.id,
                line.id == any_(bindparam("ids", type_=ARRAY(BigInteger))),
            ),
            {"ids": [one.line_id for one in lines]},
        )
        known: dict[int, int] = {one.id: one.product_id for one in found}
        unknown: list[ErpError] = [
            NotFound("The count has no such line.", path=("lines", str(position), "lineId"))
            for position, one in enumerate(lines)
            if one.line_id not in known
        ]
        if unknown:
            raise CommandRefused(unknown)
        counted = await lines_in_stock_units(
            connection, lines, lambda one: known[one.line_id], {"quantity": "countedQty"}
        )
        await _look_again(connection, [one.line_id for one in lines if one.again])
        await connection.execute(
            update(stock_count_line)
            .where(line.id == bindparam("line"))
            .values(
                counted=bindparam("found"),
                counted_at=context.clock(),
                counted_by=context.principal.actor,
            ),
            [{"line": one.line_id, "found": one.quantity} for one in counted],
        )
        await write_document(
            context,
            connection,
            COUNT,
            row,
            {},
            operation="recordStockCount",
            action="record",
            told={"counted": {str(one.line_id): f"{one.quantity:f}" for one in counted}},
        )
        return {}

    return await _change_count(
        context,
        key,
        asked,
        action=CountAction.RECORD,
        operation="recordStockCount",
        change=change,
        request={
            "lines": [
                [one.line_id, f"{one.quantity.normalize():f}", one.again, *unit_asked(one.uom)]
                for one in lines
            ]
        },
    )


async def _look_again(connection: Transaction, line_ids: Sequence[int]) -> None:
    """Let lines expect what is there now."""
    if not line_ids:
        return
    line, balance = stock_count_line.c, balance_entity.columns
    there = (
        select(func.coalesce(func.sum(balance["on_hand"]), 0))
        .where(
            balance["product_id"] == line.product_id,
            balance["location_id"] == line.location_id,
            balance["lot_id"].is_not_distinct_from(line.lot_id),
        )
        .scalar_subquery()
    )
    last = _last_move(line.product_id, line.location_id, line.lot_id).scalar_subquery()
    await connection.execute(
        update(stock_count_line)
        .where(line.id == any_(bindparam("ids", type_=ARRAY(BigInteger))))
        .values(expected=there, last_move_id=last),
        {"ids": list(line_ids)},
    )


async def post_count(context: Context, key: str, asked: Asked) -> Outcome:
    """Correct stock by what was counted: all of it or nothing. What was not counted is left.

    Returns the ``id``, and the ``move_ids`` of the stock ledger and ``level_ids`` of the levels
    concerned.

    Raises:
        CommandRefused: there is no such count, it changed, has ended, nothing was counted, goods of
            a line moved since, or less was found than is promised to orders.

    """

    async def change(connection: Transaction, row: Any) -> Outcome:
        counted = await _counted_lines(connection, row)
        if not counted:
            raise CommandRefused([Invalid("Nothing was counted yet.")])
        lines = [
            counted_line(
                line.sku,
                line.location_id,
                line.counted,
                reason=f"Count {row.number}",
                lot_number=line.lot_number,
            )
            for line in counted
        ]
        try:
            outcome = await post_adjustments(
                context,
                connection,
                key,
                lines,
                operation="postStockCount",
                source=COUNT_LINE,
                source_ids=[line.id for line in counted],
            )
        except CommandRefused as refusal:
            raise CommandRefused(
                [_of_line(error, counted) for error in refusal.errors], refusal.outcome
            ) from refusal
        # stock is locked now, so nothing moves any more
        stale = await _moved_since(connection, row, outcome["move_ids"])
        if stale:
            raise CommandRefused(stale)
        await write_document(
            context,
            connection,
            COUNT,
            row,
            {"state": CountState.POSTED, "ended_at": context.clock()},
            operation="postStockCount",
            action="post",
            told={"moves": len(outcome["move_ids"])},
        )
        return outcome

    return await _change_count(
        context,
        key,
        asked,
        action=CountAction.POST,
        operation="postStockCount",
        change=change,
    )


async def _counted_lines(connection: Transaction, count: Any) -> Sequence[Any]:
    line = stock_count_line.c
    found = await connection.execute(
        select(
            line.id,
            line.position,
            _product["sku"],
            line.location_id,
            _lot["number"].label("lot_number"),
            line.counted,
        )
        .join(product_entity.table, _product["id"] == line.product_id)
        .outerjoin(lot_entity.table, _lot["id"] == line.lot_id)
        .where(line.count_id == count.id, line.counted.is_not(None))
        .order_by(line.position)
    )
    return found.all()


def _of_line(error: ErpError, counted: Sequence[Any]) -> ErpError:
    """Return an error of a correction as one of the count's line that it is for."""
    if error.path[:1] != ("lines",):
        return error
    line = counted[int(error.path[1])]
    return type(error)(error.message, path=("lines", str(line.position - 1)), details=error.details)


async def _moved_since(
    connection: Transaction, count: Any, own_moves: Sequence[int]
) -> list[ErpError]:
    """Return which lines' goods moved after they were looked at; what is posted now does not."""
    line, move = stock_count_line.c, move_entity.columns
    moved = exists().where(
        move["product_id"] == line.product_id,
        or_(
            move["from_location_id"] == line.location_id,
            move["to_location_id"] == line.location_id,
        ),
        move["lot_id"].is_not_distinct_from(line.lot_id),
        move["id"] > line.last_move_id,
        move["id"] != all_(bindparam("own", type_=ARRAY(BigInteger))),
    )
    found = await connection.execute(
        select(line.position, _product["sku"])
        .join(product_entity.table, _product["id"] == line.product_id)
        .where(line.count_id == count.id, line.counted.is_not(None), moved)
        .order_by(line.position),
        {"own": list(own_moves)},
    )
    return [
        Conflict(
            f"{row.sku} moved there since it was looked at; count it again.",
            path=("lines", str(row.position - 1)),
            details={"sku": row.sku},
        )
        for row in found
    ]


async def cancel_count(context: Context, key: str, asked: Asked) -> Outcome:
    """Give up a count; stock stays as it is.

    Raises:
        CommandRefused: there is no such count, it changed, or has ended.

    """

    async def change(connection: Transaction, row: Any) -> Outcome:
        await write_document(
            context,
            connection,
            COUNT,
            row,
            {"state": CountState.CANCELED, "ended_at": context.clock()},
            operation="cancelStockCount",
            action="cancel",
        )
        return {}

    return await _change_count(
        context,
        key,
        asked,
        action=CountAction.CANCEL,
        operation="cancelStockCount",
        change=change,
    )


async def _change_count(
    context: Context,
    key: str,
    asked: Asked,
    *,
    action: CountAction,
    operation: str,
    change: Any,
    request: Mapping[str, Any] | None = None,
) -> Outcome:
    def refuse(row: Any) -> InvalidTransition | None:
        if action in count_actions(row.state):
            return None
        return InvalidTransition(
            "The count has ended.", path=asked.at, details={"state": row.state}
        )

    return await change_document(
        context,
        key,
        COUNT,
        asked,
        operation=operation,
        cause="COUNT",
        refuse=refuse,
        change=change,
        request=request,
    )

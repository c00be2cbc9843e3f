"""The verbs of sales orders: one function per command."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    Update,
    bindparam,
    exists,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

from resolvers.catalog.loaders import product as product_entity
from resolvers.core.amounts import line_amounts
from resolvers.core.command import AtOnce, CommandRefused, Outcome, all_of_it, write_audit
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
from resolvers.core.statement import Statement, compile_statement
from resolvers.core.table import given_quantities, money, quantity
from resolvers.core.transaction import Transaction
from resolvers.inventory.commands import (
    Held,
    Promise,
    Wanted,
    free_stock,
    lock_stock,
    release,
    reserve,
    take_hold,
)
from resolvers.inventory.loaders import SALES_ORDER_LINE
from resolvers.partners.loaders import address as address_entity
from resolvers.reference.commands import digits_of
from resolvers.reference.loaders import tax as tax_entity
from resolvers.sales.rules import (
    FulfillmentPolicy,
    Need,
    OrderAction,
    OrderHold,
    OrderState,
    Places,
    ReservationStatus,
    ShipmentStatus,
    Site,
    Source,
    SourcingStrategy,
    distance,
    order_actions,
    plan_sources,
    reservation_status,
    shipment_status,
    state_after,
)
from resolvers.sales.tables import sales_order, sales_order_line

_product = product_entity.table.c
_tax = tax_entity.columns
_GOODS: Final = "GOODS"
_IS_GOODS: Final = _product.kind == _GOODS
"""Services have no stock: they wait for none, and goods do not wait for them."""

MOST_WAITING: Final = 100
"""Most orders that are looked at when goods come; the others wait for the next."""

MOST_PLANS: Final = 3
"""Times it is planned where goods come from, all in all, while others are quicker."""

Policy = FulfillmentPolicy
Strategy = SourcingStrategy
BACKORDER: Final = FulfillmentPolicy.BACKORDER
SINGLE_WAREHOUSE_FIRST: Final = SourcingStrategy.SINGLE_WAREHOUSE_FIRST
"""What orders are placed with that say nothing else."""
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
    at_once: AtOnce | None = None,
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
        at_once=at_once,
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
    strategy: SourcingStrategy | None = None,
) -> Outcome:
    """Promise stock to the lines of a confirmed order that wait for it.

    As much as there is, first line first, or with ``all_or_nothing`` everything or nothing; from
    the warehouses the lines leave from, or with a ``strategy`` from others as well. Returns the
    order's ``id`` and ``shortages``: the lines that still wait.

    Raises:
        CommandRefused: there is no such order, it changed, is not to be reserved now, or not all of
            it is there.

    """

    async def change(connection: Transaction, order: Any) -> Outcome:
        promised = await promise_lines(
            connection,
            order,
            partly=not all_or_nothing,
            sourcing=None if strategy is None else await sourcing_of(connection, order, strategy),
        )
        if all_or_nothing and promised.shortages:
            missing = ", ".join(shortage["sku"] for shortage in promised.shortages)
            refusal = InsufficientStock(
                f"There is not enough of {missing}.", path=("allOrNothing",)
            )
            raise CommandRefused([refusal], {"shortages": promised.shortages})
        if promised.reserved or promised.moved:
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
        request={
            "allOrNothing": all_or_nothing,
            # appended, so that requests without one are what they were
            **({} if strategy is None else {"sourcing": strategy}),
        },
        at_once=None if strategy is not None else _reserving_at_once(asked),
    )


def _reserving_at_once(asked: Asked) -> AtOnce:
    """Return how an order is reserved that gets everything it waits for, from where it leaves."""
    return AtOnce(
        _RESERVE_ORDER,
        {"order": asked.id, "expected": asked.expected_version},
        {"id": asked.id, "shortages": []},
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
    moved: bool = False
    """Whether lines are to leave other warehouses now."""

    def told(self, before: Mapping[int, Decimal] | None = None) -> dict[str, str]:
        """Return what the lines got, with what they got ``before``, as JSON."""
        got = dict(before or {})
        for id_, much in self.reserved.items():
            got[id_] = got.get(id_, Decimal(0)) + much
        return {str(id_): f"{much:f}" for id_, much in got.items()}


@dataclass(frozen=True, slots=True)
class Sourcing:
    """How warehouses are chosen for goods that go to a country and a region of it."""

    strategy: SourcingStrategy
    country: str | None = None
    region: str | None = None


async def promise_lines(
    connection: Transaction, order: Any, *, partly: bool, sourcing: Sourcing | None = None
) -> Promised:
    """Promise stock to the lines of a locked order, and write that down on the lines.

    All or nothing, unless ``partly`` and the order's policy is content with a part. With a
    ``sourcing`` lines may move to other warehouses; where somebody is quicker than the plan, it is
    made again. The order is left to the caller.
    """
    partly = partly and order.fulfillment_policy != FulfillmentPolicy.ALL_OR_NOTHING
    reserved: dict[int, Decimal] = {}
    short: list[Promise] = []
    lines: Sequence[Any] = ()
    moved = False
    status = ReservationStatus(order.reservation_status)
    for _ in range(MOST_PLANS):
        lines = await _waiting_lines(connection, order)
        planned: Places = {}
        if sourcing is not None:
            changed, planned = await _source_lines(connection, order, lines, sourcing)
            if changed:
                moved = True
                lines = await _waiting_lines(connection, order)
        promises = await reserve(
            connection,
            [Wanted(line.id, line.product_id, line.warehouse_id, line.waiting) for line in lines],
            source=SALES_ORDER_LINE,
            partly=partly,
        )
        short = [one for one in promises if one.got < one.wanted.quantity]
        if partly or not short:
            got = {one.wanted.source_id: one.got for one in promises if one.got}
            status = await _reserve_lines(connection, order, got)
            for id_, much in got.items():
                reserved[id_] = reserved.get(id_, Decimal(0)) + much
        if not _somebody_was_quicker(planned, promises):
            break
    skus = {line.id: line.sku for line in lines}
    return Promised(
        reserved,
        status,
        [_shortage(skus[one.wanted.source_id], one) for one in short],
        moved=moved,
    )


def _somebody_was_quicker(planned: Places, promises: Sequence[Promise]) -> bool:
    """Tell whether less was there than the plan says."""
    got: Places = {}
    for one in promises:
        key = one.wanted.product_id, one.wanted.warehouse_id
        got[key] = got.get(key, Decimal(0)) + one.got
    return any(got.get(key, Decimal(0)) < much for key, much in planned.items())


async def sourcing_of(connection: Transaction, order: Any, strategy: SourcingStrategy) -> Sourcing:
    """Return how warehouses are chosen for an order, given where it goes."""
    at = address_entity.columns
    found = await connection.execute(
        select(at["country"], at["region"]).where(at["id"] == order.ship_to_id)
    )
    goes_to = found.first()
    return Sourcing(strategy, *(() if goes_to is None else goes_to))


async def source_order(connection: Transaction, order: Any, strategy: SourcingStrategy) -> None:
    """Choose where the lines of an order leave from that was just placed; nothing is promised."""
    lines = await _waiting_lines(connection, order)
    await _source_lines(connection, order, lines, await sourcing_of(connection, order, strategy))


async def _source_lines(
    connection: Transaction, order: Any, lines: Sequence[Any], sourcing: Sourcing
) -> tuple[bool, Places]:
    """Let waiting lines leave from where goods are, in parts where they are in several places.

    A line is divided only if its parts come to the same amounts, to the last cent. Tells whether
    any line changed, and how much there is where.
    """
    if not lines:
        return False, {}
    sites, free = await _sites(connection, lines, sourcing)
    return await _place_lines(connection, order, lines, sites, free, strategy=sourcing.strategy)


async def _place_lines(
    connection: Transaction,
    order: Any,
    lines: Sequence[Any],
    sites: Sequence[Site],
    free: Places,
    *,
    strategy: SourcingStrategy,
) -> tuple[bool, Places]:
    """Let waiting lines leave from where ``free`` says that goods are; see `_source_lines`."""
    digits = await digits_of(connection, order.currency)
    needs = [
        Need(
            line.product_id,
            line.waiting,
            home=None if _is_untouched(line) else line.warehouse_id,
        )
        for line in lines
    ]
    while True:
        plans = plan_sources(needs, sites, free, strategy)
        uneven = [
            place
            for place, (line, plan) in enumerate(zip(lines, plans, strict=True))
            if not _is_even(line, plan[1:], digits)
        ]
        if not uneven:
            break
        for place in uneven:
            needs[place] = replace(needs[place], whole=True)
    moves = {
        line.id: plan[0].warehouse_id
        for line, plan in zip(lines, plans, strict=True)
        if plan[0].there and plan[0].warehouse_id != line.warehouse_id
    }
    parts = [(line, part) for line, plan in zip(lines, plans, strict=True) for part in plan[1:]]
    there: Places = {}
    for line, plan in zip(lines, plans, strict=True):
        for part in plan:
            key = line.product_id, part.warehouse_id
            there[key] = there.get(key, Decimal(0)) + part.there
    await _move_lines(connection, order, moves)
    await _divide_lines(connection, order, parts, digits)
    return bool(moves or parts), there


async def _promise_held(
    context: Context,
    connection: Transaction,
    order: Any,
    held: Held,
    *,
    operation: str,
) -> dict[int, Decimal]:
    """Give the lines of a locked order what is held for it, and let them leave from there."""
    lines = await _waiting_lines(connection, order)
    places: Places = {}
    for one in held.lines:
        key = one.product_id, one.warehouse_id
        places[key] = places.get(key, Decimal(0)) + one.quantity
    await _lock_besides(connection, lines, places)
    at = dict.fromkeys(warehouse_id for _, warehouse_id in places)
    await _place_lines(
        connection,
        order,
        lines,
        [Site(id_, priority) for priority, id_ in enumerate(at)],
        places,
        strategy=SourcingStrategy.PRIORITY,
    )
    left = {one.id: one.quantity for one in held.lines}
    taken: list[tuple[int, int, Decimal]] = []
    for line in await _waiting_lines(connection, order):
        rest = line.waiting
        for one in held.lines:
            much = min(rest, left[one.id])
            if (one.product_id, one.warehouse_id) == (line.product_id, line.warehouse_id) and much:
                taken.append((one.id, line.id, much))
                left[one.id] -= much
                rest -= much
    got = await take_hold(
        context, connection, held, taken, source=SALES_ORDER_LINE, operation=operation
    )
    await _add_to_lines(connection, got, shipped=False)
    return got


async def _lock_besides(connection: Transaction, lines: Sequence[Any], held: Places) -> None:
    """Lock what is held with what lines need besides, wherever it is, if they need any."""
    rest: dict[int, Decimal] = {}
    for line in lines:
        rest[line.product_id] = rest.get(line.product_id, Decimal(0)) + line.waiting
    for (product_id, _), much in held.items():
        rest[product_id] = rest.get(product_id, Decimal(0)) - much
    short = [product_id for product_id, much in rest.items() if much > 0]
    if short:
        others = [(row.product_id, row.id) for row in await free_stock(connection, short)]
        await lock_stock(connection, [*held, *(one for one in others if one[0] is not None)])


async def _sites(
    connection: Transaction, lines: Sequence[Any], sourcing: Sourcing
) -> tuple[list[Site], Places]:
    """Return the warehouses, and what is free in them of the products of lines."""
    sites: dict[int, Site] = {}
    free: Places = {}
    for row in await free_stock(connection, [line.product_id for line in lines]):
        far = distance(row.region, sourcing.country, sourcing.region)
        sites[row.id] = Site(row.id, row.priority, far, endless=row.negative_stock)
        if row.product_id is not None:
            free[row.product_id, row.id] = row.free
    return list(sites.values()), free


def _is_untouched(line: Any) -> bool:
    """Tell whether nothing happened to a line yet, so that all of it can leave elsewhere."""
    return bool(line.waiting == line.quantity)


def _is_even(line: Any, parts: Sequence[Source], digits: int) -> bool:
    """Tell whether a line and the parts that leave it come to what the line comes to whole."""
    if not parts:
        return True
    rest = line.quantity - sum((part.quantity for part in parts), Decimal(0))
    amounts = [_amounts(line, much, digits) for much in (rest, *(part.quantity for part in parts))]
    net, tax = (sum(column, Decimal(0)) for column in zip(*amounts, strict=True))
    return (net, tax) == (line.net, line.tax)


def _amounts(line: Any, quantity: Decimal, digits: int) -> tuple[Decimal, Decimal]:
    """Return what so much of a line comes to: net and tax."""
    found = line_amounts(
        quantity,
        (line.unit_price * (100 - line.discount_percent)).scaleb(-2),
        tax_kind=line.tax_kind,
        tax_rate=line.tax_rate or Decimal(0),
        digits=digits,
    )
    return found.net, found.tax


async def _move_lines(connection: Transaction, order: Any, moves: Mapping[int, int]) -> None:
    """Let lines leave from other warehouses, and the order from that of its first line.

    Unless any line still leaves from where the order does.
    """
    if not moves:
        return
    line, there = sales_order_line.c, sales_order_line.alias("there")
    given = (
        func.unnest(
            bindparam("lines", type_=ARRAY(BigInteger)), bindparam("sites", type_=ARRAY(Integer))
        )
        .table_valued("id", "warehouse_id", name="given")
        .render_derived()
    )
    await connection.execute(
        update(sales_order_line)
        .where(line.id == given.c.id)
        .values(warehouse_id=given.c.warehouse_id),
        {"lines": list(moves), "sites": list(moves.values())},
    )
    await connection.execute(
        update(sales_order)
        .where(
            sales_order.c.id == order.id,
            line.order_id == sales_order.c.id,
            line.position == 1,
            ~exists().where(
                there.c.order_id == sales_order.c.id,
                there.c.warehouse_id == sales_order.c.warehouse_id,
            ),
        )
        .values(warehouse_id=line.warehouse_id)
    )


_ENTERED: Final = ("entered_quantity", "entered_uom", "entered_factor", "stock_factor")
"""Columns that tell in which unit all of a line was entered; parts of it were in none."""
_OWN: Final = ("id", "reserved", "shipped", "canceled", "returned", "invoiced", *_ENTERED)
"""Columns that a part of a line does not have from it."""


async def _divide_lines(
    connection: Transaction,
    order: Any,
    parts: Sequence[tuple[Any, Source]],
    digits: int,
) -> None:
    """Make lines of their own of parts of lines that leave from other warehouses.

    They come after all others, and are the same in everything but quantity and amounts.
    """
    if not parts:
        return
    line = sales_order_line.c
    last = await connection.scalar(select(func.max(line.position)).where(line.order_id == order.id))
    amounts = [_amounts(whole, part.quantity, digits) for whole, part in parts]
    given = (
        func.unnest(
            bindparam("lines", type_=ARRAY(BigInteger)),
            bindparam("places", type_=ARRAY(Integer)),
            bindparam("sites", type_=ARRAY(Integer)),
            bindparam("given", type_=ARRAY(quantity())),
            bindparam("nets", type_=ARRAY(money())),
            bindparam("taxes", type_=ARRAY(money())),
        )
        .table_valued("id", "position", "warehouse_id", "quantity", "net", "tax", name="given")
        .render_derived()
    )
    arrays = {
        "lines": [whole.id for whole, _ in parts],
        "places": [last + place for place in range(1, len(parts) + 1)],
        "sites": [part.warehouse_id for _, part in parts],
        "given": [part.quantity for _, part in parts],
        "nets": [net for net, _ in amounts],
        "taxes": [tax for _, tax in amounts],
    }
    names = [column.name for column in line if column.name not in _OWN]
    await connection.execute(
        insert(sales_order_line).from_select(
            names,
            select(*(given.c.get(name, line[name]) for name in names)).join(
                given, given.c.id == line.id
            ),
        ),
        arrays,
    )
    gone = (
        select(
            given.c.id,
            func.sum(given.c.quantity).label("quantity"),
            func.sum(given.c.net).label("net"),
            func.sum(given.c.tax).label("tax"),
        )
        .group_by(given.c.id)
        .subquery("gone")
    )
    await connection.execute(
        update(sales_order_line)
        .where(line.id == gone.c.id)
        .values(
            quantity=line.quantity - gone.c.quantity,
            net=line.net - gone.c.net,
            tax=line.tax - gone.c.tax,
            **dict.fromkeys(_ENTERED),
        ),
        arrays,
    )


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
            order.state == OrderState.CONFIRMED,
            order.hold.is_(None),
            exists().where(line.order_id == order.id, *_waiting_for(warehouse_id, product_ids)),
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


async def lock_stock_waited_for(
    connection: Transaction, orders: Sequence[Any], warehouse_id: int, product_ids: Sequence[int]
) -> None:
    """Lock products that are about to come, and all that locked orders may be promised with them.

    Those that are to have all or nothing get other products as well, from other warehouses. Called
    right before goods move, so that levels are locked in one order.
    """
    whole = [order.id for order in orders if _all_or_nothing(order) is not None]
    if not whole:
        return
    line = sales_order_line.c
    found = await connection.execute(
        select(line.product_id, line.warehouse_id).where(
            line.order_id.in_(whole), line.reserved < line.quantity - line.shipped - line.canceled
        )
    )
    others = [(row.product_id, row.warehouse_id) for row in found]
    await lock_stock(connection, [*((id_, warehouse_id) for id_ in product_ids), *others])


async def promise_waiting(
    context: Context,
    connection: Transaction,
    orders: Sequence[Any],
    warehouse_id: int,
    product_ids: Sequence[int],
    *,
    operation: str,
) -> list[int]:
    """Promise products in a warehouse to lines of locked orders that wait there, those due first.

    One that is to have all or nothing gets something only if there is everything for it. Returns
    the ids of the orders that got something.
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
        .where(line.order_id.in_(by_id), *_waiting_for(warehouse_id, product_ids))
        .order_by(line.order_id, line.position)
    )
    rows = sorted(found, key=lambda row: _due(by_id[row.order_id]))
    lines: dict[int, dict[str, str]] = {}
    for whole, group in groupby(rows, key=lambda row: _all_or_nothing(by_id[row.order_id])):
        if whole is not None:
            promised = await promise_lines(connection, whole, partly=False)
            if promised.reserved:
                lines[whole.id] = promised.told()
            continue
        order_of = {row.id: row.order_id for row in group}
        wanted = [row for row in rows if row.id in order_of]
        promises = await reserve(
            connection,
            [Wanted(row.id, row.product_id, warehouse_id, row.waiting) for row in wanted],
            source=SALES_ORDER_LINE,
            partly=True,
        )
        got = {one.wanted.source_id: one.got for one in promises if one.got}
        await _add_to_lines(connection, got, shipped=False)
        for id_, much in got.items():
            lines.setdefault(order_of[id_], {})[str(id_)] = f"{much:f}"
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


def _all_or_nothing(order: Any) -> Any:
    """Return an order that is not content with a part, None if it is."""
    return order if order.fulfillment_policy == FulfillmentPolicy.ALL_OR_NOTHING else None


def _due(order: Any) -> tuple[date, int]:
    return order.requested_on or order.placed_on, order.id


def _waiting_for(warehouse_id: int, product_ids: Sequence[int]) -> tuple[ColumnElement[bool], ...]:
    line = sales_order_line.c
    return (
        line.warehouse_id == warehouse_id,
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
            line.warehouse_id,
            _product.sku,
            _product.tracking,
            _product.kind,
            line.quantity,
            line.reserved,
            line.shipped,
            line.canceled,
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
    if order.fulfillment_policy == FulfillmentPolicy.PARTIAL:
        await _give_up_waiting(connection, order)
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


async def _give_up_waiting(connection: Transaction, order: Any) -> None:
    """Cancel the goods that the lines of an order wait for."""
    line = sales_order_line.c
    waiting = line.quantity - line.shipped - line.canceled - line.reserved
    await connection.execute(
        update(sales_order_line)
        .where(line.order_id == order.id, line.product_id == _product.id, _IS_GOODS, waiting > 0)
        .values(canceled=line.canceled + waiting)
    )


def refuse_part(
    order: Any, lines: Sequence[Any], leaving: Mapping[int, Decimal], at: tuple[str, ...]
) -> None:
    """Refuse that a part leaves of an order that is to have all or nothing.

    ``lines`` are those that `order_lines` returns; services among them never leave.

    Raises:
        CommandRefused: goods of the order would be left.

    """
    if order.fulfillment_policy == FulfillmentPolicy.ALL_OR_NOTHING and any(
        leaving.get(line.id, Decimal(0)) < line.quantity - line.shipped - line.canceled
        for line in lines
        if line.kind == _GOODS
    ):
        refusal = InvalidTransition(
            "The order is to leave all at once.",
            path=at,
            details={"fulfillmentPolicy": order.fulfillment_policy},
        )
        raise CommandRefused([refusal])


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
    """Return the lines of goods that are not reserved in full, with how much each waits for."""
    return await connection.run(_WAITING_LINES, {"order": order.id})


def _waiting_of_order() -> Statement:
    line = sales_order_line.c
    waiting = line.quantity - line.shipped - line.canceled - line.reserved
    return compile_statement(
        select(
            line.id,
            line.product_id,
            line.warehouse_id,
            _product.sku,
            waiting.label("waiting"),
            line.quantity,
            line.unit_price,
            line.discount_percent,
            line.net,
            line.tax,
            _tax["kind"].label("tax_kind"),
            _tax["rate"].label("tax_rate"),
        )
        .join(product_entity.table, _product.id == line.product_id)
        .outerjoin(tax_entity.table, _tax["id"] == line.tax_id)
        .where(line.order_id == _THE_ORDER, _IS_GOODS, waiting > 0)
        .order_by(line.position)
    )


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
    await connection.run(
        _LET_LEAVE if shipped else _RESERVE,
        {"ids": list(quantities), "given": list(quantities.values())},
    )


async def _reserve_lines(
    connection: Transaction, order: Any, quantities: Mapping[int, Decimal]
) -> ReservationStatus:
    """Reserve so much more of lines of an order, and return how much of it is reserved then."""
    given = list(quantities.values())
    parameters = {"ids": list(quantities), "given": given, "order": order.id}
    # a statement sees the lines as they were before it
    before = (await connection.run(_RESERVE_AND_SUM, parameters)).one()
    return reservation_status(before.ordered - before.shipped, before.reserved + sum(given))


async def _status(connection: Transaction, order: Any) -> tuple[ReservationStatus, ShipmentStatus]:
    """Derive how much of an order is reserved and has left, from its lines."""
    sums = (await connection.run(_SUM, {"order": order.id})).one()
    return (
        reservation_status(sums.ordered - sums.shipped, sums.reserved),
        shipment_status(sums.ordered, sums.shipped),
    )


def _adding(*, shipped: bool) -> Update:
    line, given = sales_order_line.c, given_quantities()
    values = (
        {"shipped": line.shipped + given.c.quantity, "reserved": line.reserved - given.c.quantity}
        if shipped
        else {"reserved": line.reserved + given.c.quantity}
    )
    return update(sales_order_line).where(line.id == given.c.id).values(values)


def _summing() -> Select[Any]:
    line = sales_order_line.c
    return select(
        func.sum(line.quantity - line.canceled).label("ordered"),
        func.sum(line.shipped).label("shipped"),
        func.sum(line.reserved).label("reserved"),
    ).where(line.order_id == _THE_ORDER)


_THE_ORDER: Final = bindparam("order", type_=BigInteger)
_RESERVE_ORDER: Final = all_of_it("reserve_order", _THE_ORDER, bindparam("expected", type_=Integer))
_WAITING_LINES: Final = _waiting_of_order()
_RESERVE: Final = compile_statement(_adding(shipped=False))
_LET_LEAVE: Final = compile_statement(_adding(shipped=True))
_SUM: Final = compile_statement(_summing())
_RESERVE_AND_SUM: Final = compile_statement(
    _summing().add_cte(_adding(shipped=False).cte("reserved"))
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
                "warehouse_id": header["warehouse_id"],
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
    context: Context,
    connection: Transaction,
    order: Any,
    *,
    operation: str,
    strategy: SourcingStrategy | None = None,
    held: Held | None = None,
) -> list[dict[str, Any]]:
    """Confirm a locked order and promise it what there is; return its shortages.

    With a ``strategy`` it is chosen once more where its lines leave from. What is ``held`` for it
    it gets before anything else.

    Raises:
        CommandRefused: it is to have all or nothing, and more than what is held is missing.

    """
    got: Mapping[int, Decimal] = {}
    if held is not None:
        got = await _promise_held(context, connection, order, held, operation=operation)
    sourcing = None if strategy is None else await sourcing_of(connection, order, strategy)
    promised = await promise_lines(connection, order, partly=True, sourcing=sourcing)
    if got and promised.shortages and _all_or_nothing(order) is not None:
        missing = ", ".join(shortage["sku"] for shortage in promised.shortages)
        refusal = InsufficientStock(f"There is not enough of {missing}.", path=("input", "holdId"))
        raise CommandRefused([refusal])
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
        told={"reserved": promised.told(got)},
    )
    return promised.shortages

"""The verbs of stock: one function per command."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Integer,
    Table,
    Text,
    any_,
    bindparam,
    func,
    insert,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

from resolvers.catalog.commands import lines_in_stock_units, unit_asked
from resolvers.catalog.loaders import product as product_entity
from resolvers.core.bulk import RowResult
from resolvers.core.command import CommandRefused, Outcome, run_command, write_audit
from resolvers.core.context import Context
from resolvers.core.document import Asked, Document, change_document, lock_document, write_document
from resolvers.core.errors import (
    ErpError,
    InsufficientStock,
    Invalid,
    InvalidTransition,
    NotFound,
    shown,
)
from resolvers.core.quantities import LARGEST_QUANTITY, QUANTITY_STEP, check_quantity
from resolvers.core.statement import Statement, compile_statement, unseen
from resolvers.core.table import as_given, money, quantity
from resolvers.core.transaction import Transaction
from resolvers.inventory.locks import lock_balances, lock_known_levels, lock_levels, lock_lots
from resolvers.inventory.rules import (
    Adjustment,
    AdjustmentLine,
    HoldState,
    LocationKind,
    MoveKind,
    Picker,
    ReservationSource,
    Stock,
    StockPlace,
    Tracking,
    check_adjustment_lines,
    check_arrival,
    check_lot,
    plan_adjustments,
)
from resolvers.inventory.tables import (
    incoming_stock,
    lot,
    stock_balance,
    stock_hold,
    stock_hold_line,
    stock_level,
    stock_location,
    stock_move,
    stock_reservation,
    warehouse,
)
from resolvers.partners.loaders import partner as partner_entity

MAX_LINES = 200

TRANSIT: Final = LocationKind.TRANSIT
CUSTOMER: Final = LocationKind.CUSTOMER
SCRAP: Final = LocationKind.SCRAP
"""Where goods are moved to and from by commands of higher modules."""
TRANSFER: Final = MoveKind.TRANSFER
RETURN: Final = MoveKind.RETURN
"""Why they are."""

_product = product_entity.table.c


@dataclass(frozen=True, slots=True)
class Wanted:
    """So much of a product, above 0, that a line of a document is to get from a warehouse."""

    source_id: int
    product_id: int
    warehouse_id: int
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Promise:
    """What a line got of what it wants, and what comes next of the product if that is less."""

    wanted: Wanted
    got: Decimal
    next_on: date | None = None
    next_quantity: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Goods:
    """So much of a product, above 0, that a line of a document takes from a location or brings."""

    product_id: int
    location_id: int
    quantity: Decimal
    lot_id: int | None
    source_id: int
    cost: Decimal | None = None
    """What all of it costs in the currency of the books; None: what goods that are there do."""


async def adjust_stock(context: Context, key: str, lines: Sequence[AdjustmentLine]) -> Outcome:
    """Correct stock at locations: all lines or none, as ledger moves from or to the loss location.

    Returns ``move_ids`` in the order of the lines and ``level_ids`` of the levels concerned.

    Raises:
        CommandRefused: a line breaks a rule, a version is stale, or the key was used otherwise.

    """
    if not 1 <= len(lines) <= MAX_LINES:
        raise CommandRefused([Invalid(f"Give 1 to {MAX_LINES} lines.", path=("lines",))])
    errors = check_adjustment_lines(lines)
    if errors:
        raise CommandRefused(errors)

    async def body(connection: Transaction) -> Outcome:
        named = [line.sku for line in lines if line.uom is not None]
        products = await products_of(connection, named) if named else {}
        stocked = await lines_in_stock_units(
            connection,
            lines,
            lambda line: getattr(products.get(line.sku), "id", None),
            {"delta": "delta", "counted": "countedQty"},
        )
        return await post_adjustments(context, connection, key, stocked, operation="adjustStock")

    return await run_command(
        context,
        operation="adjustStock",
        key=key,
        request={"lines": [_as_json(line) for line in lines]},
        cause=MoveKind.ADJUSTMENT,
        body=body,
    )


def counted_line(
    sku: str, location_id: int, counted: Decimal, *, reason: str, lot_number: str | None
) -> AdjustmentLine:
    """Return the correction of stock at a location to what was counted there."""
    return AdjustmentLine(
        sku=sku, location_id=location_id, reason=reason, counted=counted, lot_number=lot_number
    )


async def post_adjustments(
    context: Context,
    connection: Transaction,
    key: str,
    lines: Sequence[AdjustmentLine],
    *,
    operation: str,
    source: str | None = None,
    source_ids: Sequence[int | None] = (),
) -> Outcome:
    """Correct stock by lines that are right by themselves, in a transaction that is open.

    ``source`` is the kind of the documents whose lines, ``source_ids``, the corrections are for.
    Returns and raises what `adjust_stock` does.
    """
    places, loss_id = await _lock_places(context, connection, lines)
    adjustments, refusals = plan_adjustments(lines, places)
    level_ids = sorted({place.level_id for place in places.values()})
    if refusals:
        raise CommandRefused(refusals, {"level_ids": level_ids})
    ids = source_ids or [None] * len(lines)
    moved_for = dict(zip(map(id, lines), ids, strict=True))
    move_ids = await _post(
        context,
        connection,
        key,
        adjustments,
        loss_id,
        operation=operation,
        sources=[(source, moved_for[id(adjustment.line)]) for adjustment in adjustments],
    )
    return {"move_ids": move_ids, "level_ids": level_ids}


async def upsert_levels(
    context: Context,
    connection: Transaction,
    key: str,
    lines: Sequence[AdjustmentLine],
    *,
    partly: bool,
    earlier: frozenset[Any] = frozenset(),
) -> list[tuple[RowResult, Sequence[ErpError]]]:
    """Set stock at locations to what was counted; return of each line what became of it.

    Nothing is written if a line is wrong, unless ``partly``. ``earlier`` are SKU, location and lot
    of lines before these. The paths of errors begin with lines and the place of the line in
    ``lines``.
    """
    results: list[tuple[RowResult, Sequence[ErpError]]] = [(RowResult.UNCHANGED, ())] * len(lines)
    errors = check_adjustment_lines(lines, earlier)
    good = _reject(results, errors, range(len(lines)))
    products = await products_of(connection, [line.sku for line in lines])
    locations = await _locations(connection, lines)
    unknown = _unknown([lines[n] for n in good], products, locations)
    good = _reject(results, unknown, good)
    if (len(good) < len(lines) and not partly) or not good:
        return results
    asked = [lines[n] for n in good]
    places, loss_id = await _lock_places(context, connection, asked)
    adjustments, refusals = plan_adjustments(asked, places)
    _reject(results, refusals, good)
    if refusals and not partly:
        return results
    await _post(
        context,
        connection,
        key,
        adjustments,
        loss_id,
        operation="upsertStockLevels",
        sources=[(None, None)] * len(adjustments),
    )
    place_of = {id(line): n for n, line in zip(good, asked, strict=True)}
    for adjustment in adjustments:
        results[place_of[id(adjustment.line)]] = (RowResult.UPDATED, ())
    return results


def _reject(
    results: list[tuple[RowResult, Sequence[ErpError]]],
    errors: Sequence[ErpError],
    places: Sequence[int],
) -> list[int]:
    """Write errors down at the lines they are of, which ``places`` tells; return the others."""
    for error in errors:
        place = places[int(error.path[1])]
        results[place] = (RowResult.REJECTED, (*results[place][1], error))
    return [place for place in places if results[place][0] is not RowResult.REJECTED]


def _reserving() -> Statement:
    """Return what promises stock of levels that are found by their products and warehouses."""
    given = (
        func.unnest(unseen("products", ARRAY(BigInteger)), unseen("warehouses", ARRAY(Integer)))
        .table_valued("product_id", "warehouse_id", with_ordinality="place", name="given")
        .render_derived()
    )
    level = stock_level.c
    levels = (
        # 0 is no level: nothing was ever there, and there is nothing to promise
        select(func.coalesce(level.id, 0))
        .select_from(
            given.outerjoin(
                stock_level,
                (level.product_id == given.c.product_id)
                & (level.warehouse_id == given.c.warehouse_id),
            )
        )
        .order_by(given.c.place)
    )
    called = func.reserve_stock(
        func.array(levels.scalar_subquery()),
        bindparam("quantities", type_=ARRAY(quantity())),
        bindparam("kind", type_=Text),
        bindparam("sources", type_=ARRAY(BigInteger)),
        bindparam("partly", type_=Boolean),
    ).table_valued("line_id", "promised")
    return compile_statement(select(called.c.line_id, called.c.promised))


_RESERVE: Final = _reserving()


async def reserve(
    connection: Transaction,
    wanted: Sequence[Wanted],
    *,
    source: str,
    partly: bool,
) -> list[Promise]:
    """Promise stock to lines of documents of the kind ``source``, in the order given.

    All or nothing, unless ``partly``; each promise tells what the line got, or would have got, and
    where it is less than wanted, what comes next of the product to the warehouse. Where stock is
    short, holds that are overdue hold it no longer.
    """
    if not wanted:
        return []
    got = await _promise(connection, wanted, source=source, partly=partly)
    nothing = {(one.product_id, one.warehouse_id) for one in wanted if not got[one.source_id]}
    made = await _make_negative_levels(connection, nothing) if nothing else set()
    if made:
        again = [one for one in wanted if not partly or (one.product_id, one.warehouse_id) in made]
        got |= await _promise(connection, again, source=source, partly=partly)
    short = [one for one in wanted if got[one.source_id] < one.quantity]
    if short and await _expire_overdue(connection, short):
        # of those that got a part, for the rest of it; else all over again
        rest = [
            replace(one, quantity=one.quantity - got[one.source_id]) if partly else one
            for one in (short if partly else wanted)
        ]
        more = await _promise(connection, rest, source=source, partly=partly)
        got |= {id_: much + got[id_] if partly else much for id_, much in more.items()}
        short = [one for one in wanted if got[one.source_id] < one.quantity]
    coming = await next_incoming(connection, [(one.product_id, one.warehouse_id) for one in short])
    return [
        Promise(one, got[one.source_id], *coming.get((one.product_id, one.warehouse_id), ()))
        for one in wanted
    ]


async def _expire_overdue(connection: Transaction, short: Sequence[Wanted]) -> bool:
    """Free what overdue holds keep of levels that are locked; tell whether that is anything."""
    freed = await connection.scalar(
        select(
            func.expire_overdue(
                bindparam("products", type_=ARRAY(BigInteger)),
                bindparam("warehouses", type_=ARRAY(Integer)),
            )
        ),
        {
            "products": [one.product_id for one in short],
            "warehouses": [one.warehouse_id for one in short],
        },
    )
    return bool(freed)


async def _promise(
    connection: Transaction, wanted: Sequence[Wanted], *, source: str, partly: bool
) -> dict[int, Decimal]:
    """Promise stock of levels that there are to lines, and return what each of them got."""
    rows = await connection.run(
        _RESERVE,
        {
            "products": [one.product_id for one in wanted],
            "warehouses": [one.warehouse_id for one in wanted],
            "quantities": [one.quantity for one in wanted],
            "kind": source,
            "sources": [one.source_id for one in wanted],
            "partly": partly,
        },
    )
    return {row.line_id: row.promised.quantize(QUANTITY_STEP) for row in rows}


async def _make_negative_levels(
    connection: Transaction, pairs: Collection[tuple[int, int]]
) -> set[tuple[int, int]]:
    """Make levels of (product, warehouse) ``pairs`` that are missing where stock may be negative.

    There what never came is promised as well as what is gone. Returns the pairs of those made.
    """
    asked = sorted(pairs)
    given = (
        func.unnest(
            bindparam("products", type_=ARRAY(BigInteger)),
            bindparam("warehouses", type_=ARRAY(Integer)),
        )
        .table_valued("product_id", "warehouse_id", name="given")
        .render_derived()
    )
    missing = (
        select(warehouse.c.company_id, given.c.product_id, warehouse.c.id, true())
        .select_from(given.join(warehouse, warehouse.c.id == given.c.warehouse_id))
        .where(warehouse.c.negative_stock)
        .order_by(given.c.product_id, warehouse.c.id)
    )
    columns = ["company_id", "product_id", "warehouse_id", "allow_negative"]
    rows = await connection.execute(
        upsert(stock_level)
        .from_select(columns, missing)
        .on_conflict_do_nothing()
        .returning(stock_level.c.product_id, stock_level.c.warehouse_id),
        {"products": [p for p, _ in asked], "warehouses": [w for _, w in asked]},
    )
    return {(row.product_id, row.warehouse_id) for row in rows}


HOLD: Final = Document("StockHold", stock_hold, "stock hold")
MAX_REFERENCE: Final = 100
"""Most characters of what a hold is called by whoever asked for it."""
MOST_MINUTES: Final = 24 * 60
"""Longest that stock is held, in minutes."""
_CART: Final = ReservationSource.CART


@dataclass(frozen=True, slots=True)
class HeldLine:
    """So much of a product, in its own unit, that is to be held in a warehouse."""

    sku: str
    quantity: Decimal
    warehouse_id: int


@dataclass(frozen=True, slots=True)
class NewHold:
    """What is to be held, for how long and for whom."""

    lines: Sequence[HeldLine]
    minutes: int
    reference: str | None = None
    partner_id: int | None = None


async def hold_stock(context: Context, key: str, new: NewHold) -> Outcome:
    """Keep stock for somebody who is still deciding, all of it or none; return the hold's ``id``.

    Until it ends nobody else is promised any of it. It ends when an order takes it over, when it is
    released, or by itself.

    Raises:
        CommandRefused: a product, a warehouse or the partner is unknown, or less is there.

    """
    _check_hold(new)

    async def body(connection: Transaction) -> Outcome:
        products = await products_of(connection, [line.sku for line in new.lines])
        await _check_held(connection, new, products)
        made = await connection.execute(
            insert(stock_hold)
            .values(
                company_id=context.principal.company_id,
                partner_id=new.partner_id,
                reference=new.reference,
                # by the clock that it will be compared with
                expires_at=func.now() + timedelta(minutes=new.minutes),
                created_by=context.principal.actor,
            )
            .returning(stock_hold.c.id, stock_hold.c.expires_at)
        )
        hold = made.one()
        rows = await connection.execute(
            insert(stock_hold_line).returning(stock_hold_line.c.id, sort_by_parameter_order=True),
            [
                {
                    "company_id": context.principal.company_id,
                    "partner_id": new.partner_id,
                    "hold_id": hold.id,
                    "position": position,
                    "product_id": products[line.sku].id,
                    "warehouse_id": line.warehouse_id,
                    "quantity": line.quantity,
                }
                for position, line in enumerate(new.lines, start=1)
            ],
        )
        wanted = [
            Wanted(row.id, products[line.sku].id, line.warehouse_id, line.quantity)
            for row, line in zip(rows, new.lines, strict=True)
        ]
        promises = await reserve(connection, wanted, source=_CART, partly=False)
        short: list[ErpError] = [
            InsufficientStock(
                f"There is not enough of {new.lines[position].sku}.",
                path=("lines", str(position), "qty"),
                details={"available": f"{promise.got:f}"},
            )
            for position, promise in enumerate(promises)
            if promise.got < promise.wanted.quantity
        ]
        if short:
            raise CommandRefused(short)
        kept = stock_reservation.c
        await connection.execute(
            update(stock_reservation)
            .where(
                kept.source == _CART,
                kept.source_id == any_(bindparam("lines", type_=ARRAY(BigInteger))),
                kept.state == "ACTIVE",
            )
            .values(expires_at=hold.expires_at),
            {"lines": [row.id for row in rows]},
        )
        await write_audit(
            context,
            connection,
            operation="holdStock",
            action="hold",
            entity="StockHold",
            changes={hold.id: {"state": HoldState.HELD, "lines": len(new.lines)}},
            versions={hold.id: 1},
        )
        return {"id": hold.id}

    return await run_command(
        context,
        operation="holdStock",
        key=key,
        request={
            "lines": [
                [line.sku, f"{line.quantity.normalize():f}", line.warehouse_id]
                for line in new.lines
            ],
            "minutes": new.minutes,
            "reference": new.reference,
            "partnerId": new.partner_id,
        },
        cause="RESERVATION",
        body=body,
    )


def _check_hold(new: NewHold) -> None:
    """Refuse what is wrong by itself, before anything is read."""
    errors: list[ErpError] = []
    if not 1 <= len(new.lines) <= MAX_LINES:
        errors.append(Invalid(f"Give 1 to {MAX_LINES} lines.", path=("lines",)))
    if not 1 <= new.minutes <= MOST_MINUTES:
        errors.append(Invalid(f"minutes must be 1 to {MOST_MINUTES}.", path=("minutes",)))
    if new.reference is not None and not 1 <= len(new.reference) <= MAX_REFERENCE:
        message = f"reference must have 1 to {MAX_REFERENCE} characters."
        errors.append(Invalid(message, path=("reference",)))
    for position, line in enumerate(new.lines):
        errors += check_quantity(line.quantity, ("lines", str(position), "qty"))
    if errors:
        raise CommandRefused(errors)


async def _check_held(connection: Transaction, new: NewHold, products: Mapping[str, Any]) -> None:
    """Refuse products, warehouses and a partner that are not there."""
    site, partner = warehouse.c, partner_entity.columns
    found = await connection.execute(
        select(site.id).where(
            site.id == any_(bindparam("sites", type_=ARRAY(as_given(site.id.type)))),
            site.archived_at.is_(None),
        ),
        {"sites": sorted({line.warehouse_id for line in new.lines})},
    )
    sites = {row.id for row in found}
    errors: list[ErpError] = []
    for position, line in enumerate(new.lines):
        at = ("lines", str(position))
        product = products.get(line.sku)
        if product is None:
            errors.append(NotFound(f"There is no product {shown(line.sku)}.", path=(*at, "sku")))
        elif product.kind != "GOODS":
            errors.append(Invalid(f"{line.sku} is a service and has no stock.", path=(*at, "sku")))
        if line.warehouse_id not in sites:
            errors.append(NotFound("There is no such warehouse.", path=(*at, "warehouseId")))
    if new.partner_id is not None:
        asked = bindparam("id", new.partner_id, type_=as_given(partner["id"].type))
        known = await connection.scalar(
            select(partner["id"]).where(
                partner["id"] == asked,
                partner["archived_at"].is_(None),
            )
        )
        if known is None:
            errors.append(NotFound("There is no such partner.", path=("partnerId",)))
    if errors:
        raise CommandRefused(errors)


async def release_stock(context: Context, key: str, asked: Asked) -> Outcome:
    """Let go of stock that is held; return the hold's ``id``.

    Raises:
        CommandRefused: there is no such hold, it changed, or has ended.

    """

    async def change(connection: Transaction, row: Any) -> Outcome:
        lines = await _held_lines(connection, row)
        await release(connection, [line.id for line in lines], source=_CART)
        await write_document(
            context,
            connection,
            HOLD,
            row,
            {"state": HoldState.RELEASED},
            operation="releaseStock",
            action="release",
        )
        return {}

    return await change_document(
        context,
        key,
        HOLD,
        asked,
        operation="releaseStock",
        cause="RELEASE",
        refuse=lambda row: _ended(row, asked.at),
        change=change,
    )


def _ended(row: Any, at: tuple[str, ...]) -> InvalidTransition | None:
    """Tell that a hold has ended, None if it has not."""
    if row.state == HoldState.HELD:
        return None
    return InvalidTransition("The hold has ended.", path=at, details={"state": row.state})


async def _held_lines(connection: Transaction, row: Any) -> Sequence[Any]:
    line = stock_hold_line.c
    found = await connection.execute(
        select(line.id, line.product_id, line.warehouse_id, line.quantity)
        .where(line.hold_id == row.id)
        .order_by(line.position)
    )
    return found.all()


@dataclass(frozen=True, slots=True)
class Held:
    """A hold that is being taken over, locked, with its lines: what is where."""

    row: Any
    lines: Sequence[Any]


async def lock_hold(connection: Transaction, asked: Asked, partner_id: int) -> Held:
    """Lock a hold that goods of a customer are to be taken from, before any stock.

    Raises:
        CommandRefused: there is no such hold, it has ended or is overdue, or is another's.

    """
    row = await lock_document(connection, HOLD, asked)
    overdue = await connection.scalar(
        select(stock_hold.c.expires_at <= func.now()).where(stock_hold.c.id == row.id)
    )
    refusal: ErpError | None = _ended(row, asked.at)
    if refusal is None and overdue:
        state = {"state": HoldState.EXPIRED}
        refusal = InvalidTransition("The hold has ended.", path=asked.at, details=state)
    if refusal is None and row.partner_id not in (None, partner_id):
        refusal = Invalid("The hold is for another customer.", path=asked.at)
    if refusal is not None:
        raise CommandRefused([refusal])
    return Held(row, await _held_lines(connection, row))


async def take_hold(
    context: Context,
    connection: Transaction,
    held: Held,
    taken: Sequence[tuple[int, int, Decimal]],
    *,
    source: str,
    operation: str,
) -> dict[int, Decimal]:
    """Give what is held to lines of documents of the kind ``source``; return what each got.

    ``taken`` tells the lines of the hold, those of the document, and how much of it; the rest of
    the hold is free. Nobody can be promised any of it in between. What others were given because it
    was overdue by then is not there anymore.
    """
    called = func.pass_stock(
        bindparam("held", type_=ARRAY(BigInteger)),
        bindparam("holders", type_=ARRAY(BigInteger)),
        bindparam("takers", type_=ARRAY(BigInteger)),
        bindparam("quantities", type_=ARRAY(quantity())),
        bindparam("kind", type_=Text),
    ).table_valued("line_id", "passed")
    rows = await connection.execute(
        select(called.c.line_id, called.c.passed),
        {
            "held": [line.id for line in held.lines],
            "holders": [holder for holder, _, _ in taken],
            "takers": [taker for _, taker, _ in taken],
            "quantities": [much for _, _, much in taken],
            "kind": source,
        },
    )
    await write_document(
        context,
        connection,
        HOLD,
        held.row,
        {"state": HoldState.TAKEN},
        operation=operation,
        action="take",
    )
    return {row.line_id: row.passed.quantize(QUANTITY_STEP) for row in rows}


async def lock_stock(connection: Transaction, pairs: Collection[tuple[int, int]]) -> None:
    """Lock products in warehouses at once that are going to be moved or promised by turns."""
    await lock_known_levels(connection, pairs)


async def free_stock(connection: Transaction, product_ids: Sequence[int]) -> Sequence[Any]:
    """Return the warehouses, each with what is free in it of each of the products it ever had.

    Nothing is locked: it may be promised to others the next moment.
    """
    site, level = warehouse.c, stock_level.c
    products = bindparam("products", type_=ARRAY(BigInteger))
    rows = await connection.execute(
        select(
            site.id,
            site.priority,
            site.region,
            site.negative_stock,
            level.product_id,
            (level.on_hand - level.reserved).label("free"),
        )
        .outerjoin(
            stock_level, (level.warehouse_id == site.id) & (level.product_id == any_(products))
        )
        .where(site.archived_at.is_(None)),
        {"products": sorted(set(product_ids))},
    )
    return rows.all()


async def release(connection: Transaction, source_ids: Sequence[int], *, source: str) -> None:
    """Give back what is promised to lines of documents of the kind ``source``."""
    await connection.execute(
        select(
            func.release_stock(
                bindparam("kind", type_=Text), bindparam("sources", type_=ARRAY(BigInteger))
            )
        ),
        {"kind": source, "sources": list(source_ids)},
    )


async def stock_to_pick(
    connection: Transaction, company_id: int, wanted: Mapping[int, Sequence[int]]
) -> dict[int, Picker]:
    """Lock products in warehouses; return by warehouse who takes them from where they are.

    First what expires first, then what came first: FEFO, then FIFO. Where stock may be negative,
    what is not tracked is there in any quantity. Nobody changes any of it before the transaction
    ends.
    """
    levels = await lock_levels(
        connection, company_id, [(id_, at) for at, products in wanted.items() for id_ in products]
    )
    return {
        at: await _picker(
            connection,
            at,
            [level for (_, warehouse_id), level in levels.items() if warehouse_id == at],
        )
        for at in wanted
    }


async def _picker(connection: Transaction, warehouse_id: int, levels: Sequence[Any]) -> Picker:
    """Return who takes the products of locked levels from where they are in a warehouse."""
    balance, place, batch = stock_balance.c, stock_location.c, lot.c
    rows = await connection.execute(
        select(
            balance.product_id,
            balance.location_id,
            balance.lot_id,
            batch.number,
            balance.on_hand,
            balance.is_serial,
        )
        .join(stock_location, place.id == balance.location_id)
        .outerjoin(lot, batch.id == balance.lot_id)
        .where(
            balance.product_id == any_(bindparam("products", type_=ARRAY(BigInteger))),
            place.warehouse_id == bindparam("warehouse", type_=as_given(place.warehouse_id.type)),
            place.sellable,
            balance.on_hand > 0,
        )
        .order_by(batch.expires_on.nulls_last(), batch.received_on, place.code, balance.id),
        {"products": sorted(level.product_id for level in levels), "warehouse": warehouse_id},
    )
    found: dict[int, list[Stock]] = {}
    for row in rows:
        stock = Stock(row.location_id, row.lot_id, row.number, row.on_hand, row.is_serial)
        found.setdefault(row.product_id, []).append(stock)
    free = {
        level.product_id: LARGEST_QUANTITY
        if level.allow_negative
        else level.on_hand - level.reserved
        for level in levels
    }
    negative = [level.product_id for level in levels if level.allow_negative]
    for product_id, location_id in await _places_below_zero(connection, warehouse_id, negative):
        endless = Stock(location_id, None, None, LARGEST_QUANTITY)
        found.setdefault(product_id, []).append(endless)
    return Picker(found, free)


async def _places_below_zero(
    connection: Transaction, warehouse_id: int, product_ids: Sequence[int]
) -> list[tuple[int, int]]:
    """Return where products without lots go below zero: the warehouse's first sellable place."""
    if not product_ids:
        return []
    place = stock_location.c
    first = (
        select(func.min(place.id))
        .where(place.warehouse_id == warehouse_id, place.sellable, place.archived_at.is_(None))
        .scalar_subquery()
    )
    rows = await connection.execute(
        select(_product.id, first.label("place")).where(
            _product.id == any_(bindparam("products", type_=ARRAY(BigInteger))),
            _product.tracking == "NONE",
        ),
        {"products": sorted(product_ids)},
    )
    return [(row.id, row.place) for row in rows if row.place is not None]


async def ship_goods(
    context: Context,
    connection: Transaction,
    key: str,
    goods: Sequence[Goods],
    *,
    source: str,
) -> list[int]:
    """Let goods that are promised to lines of documents go to customers; return the moves' ids.

    They must be there, as `stock_to_pick` tells. ``source`` is the kind of those documents.
    """
    customers = await virtual_location(connection, LocationKind.CUSTOMER)
    return await move_goods(
        context,
        connection,
        key,
        goods,
        [(one.location_id, customers) for one in goods],
        kind=MoveKind.SHIPMENT,
        source=source,
        promised=True,
    )


@dataclass(frozen=True, slots=True)
class Arrival:
    """Goods that come: so much of a product, of a lot if it has any; some may be put aside.

    ``line`` is the place of the line of the input that tells of them, for what is refused.
    """

    product_id: int
    quantity: Decimal
    rejected: Decimal
    lot_number: str | None
    expires_on: date | None
    line: int


@dataclass(frozen=True, slots=True)
class Landing:
    """Where arrivals go: a place to sell from, one to put aside at, and the lot of each."""

    location_id: int
    aside_id: int | None
    lot_ids: Sequence[int | None]


async def prepare_landing(
    context: Context, connection: Transaction, warehouse_id: int, arrivals: Sequence[Arrival]
) -> Landing:
    """Find where arrivals go in a warehouse; lots that are new are made, all of them are locked.

    Raises:
        CommandRefused: a lot is missing or one too many, a serial number is not one unit or is
            somewhere already, or there is no place to put anything aside.

    """
    places = await places_to_put(connection, warehouse_id)
    rows = await connection.execute(
        select(_product.id, _product.sku, _product.tracking).where(
            _product.id == any_(bindparam("products", type_=ARRAY(BigInteger)))
        ),
        {"products": sorted({one.product_id for one in arrivals})},
    )
    products = {row.id: row for row in rows}
    errors = [
        error
        for one in arrivals
        for error in check_arrival(
            products[one.product_id].sku,
            Tracking(products[one.product_id].tracking),
            quantity=one.quantity,
            rejected=one.rejected,
            lot_number=one.lot_number,
            at=("lines", str(one.line)),
        )
    ]
    if places.to_sell is None:
        errors.append(NotFound("The warehouse has no place that goods are sold from."))
    errors += [
        Invalid(
            "The warehouse has no place to put goods aside.",
            path=("lines", str(one.line), "qtyRejected"),
        )
        for one in arrivals
        if one.rejected and places.aside is None
    ]
    if errors:
        raise CommandRefused(errors)
    numbers = {(one.product_id, one.lot_number) for one in arrivals if one.lot_number is not None}
    today = context.clock().date()
    lots = await lock_lots(
        connection,
        context.principal.company_id,
        sorted(numbers),
        made=dict.fromkeys(numbers, today),
    )
    lot_ids = [
        None if one.lot_number is None else lots[one.product_id, one.lot_number] for one in arrivals
    ]
    serial = [products[one.product_id].tracking == Tracking.SERIAL for one in arrivals]
    away = await _serials_in_place(
        connection, [lot_id for lot_id, is_one in zip(lot_ids, serial, strict=True) if is_one]
    )
    twice: list[ErpError] = []
    came = set(away)
    for one, lot_id, is_one in zip(arrivals, lot_ids, serial, strict=True):
        if is_one and lot_id in came:
            message = f"{one.lot_number} is somewhere already; a serial number stands for one unit."
            twice.append(Invalid(message, path=("lines", str(one.line), "lotNumber")))
        elif is_one and lot_id is not None:
            came.add(lot_id)
    if twice:
        raise CommandRefused(twice)
    expiring = [
        {"lot": lot_id, "day": one.expires_on}
        for one, lot_id in zip(arrivals, lot_ids, strict=True)
        if lot_id is not None and one.expires_on is not None
    ]
    if expiring:
        await connection.execute(
            update(lot)
            .where(lot.c.id == bindparam("lot"), lot.c.expires_on.is_(None))
            .values(expires_on=bindparam("day")),
            expiring,
        )
    assert places.to_sell is not None  # else refused above
    return Landing(places.to_sell, places.aside, lot_ids)


class Places(NamedTuple):
    """Where a warehouse puts goods that come: to be sold, and aside; None where it has no place."""

    to_sell: int | None
    aside: int | None


async def places_to_put(connection: Transaction, warehouse_id: int) -> Places:
    """Return the first places inside a warehouse that goods are sold from, and are not."""
    place = stock_location.c
    found = await connection.execute(
        select(place.sellable, func.min(place.id).label("id"))
        .where(
            place.warehouse_id == warehouse_id,
            place.kind == LocationKind.INTERNAL,
            place.archived_at.is_(None),
        )
        .group_by(place.sellable)
    )
    places = {row.sellable: row.id for row in found}
    return Places(places.get(True), places.get(False))


async def receive_goods(
    context: Context,
    connection: Transaction,
    key: str,
    goods: Sequence[Goods],
    *,
    source: str,
) -> list[int]:
    """Let goods come from suppliers for lines of documents; return the moves' ids.

    ``source`` is the kind of those documents.
    """
    suppliers = await virtual_location(connection, LocationKind.SUPPLIER)
    return await move_goods(
        context,
        connection,
        key,
        goods,
        [(suppliers, one.location_id) for one in goods],
        kind=MoveKind.RECEIPT,
        source=source,
    )


async def virtual_location(connection: Transaction, kind: LocationKind) -> int:
    """Return the company's location of a kind that goods come from or go to.

    Raises:
        CommandRefused: the company has none.

    """
    found = await connection.scalar(
        select(func.min(stock_location.c.id)).where(
            stock_location.c.kind == kind, stock_location.c.archived_at.is_(None)
        )
    )
    if found is None:
        raise CommandRefused([NotFound(f"The company has no location of the kind {kind}.")])
    return int(found)


async def move_goods(
    context: Context,
    connection: Transaction,
    key: str,
    goods: Sequence[Goods],
    ends: Sequence[tuple[int, int]],
    *,
    kind: MoveKind,
    source: str,
    promised: bool = False,
) -> list[int]:
    """Move each of ``goods`` between its two ``ends``, as of today; return the moves' ids.

    Locks levels, then balances. ``source`` is the kind of the documents whose lines they move for;
    goods that were ``promised`` to those lines are not any more.
    """
    now = context.clock()
    principal = context.principal
    called = func.post_moves(
        bindparam("company", type_=Integer),
        bindparam("products", type_=ARRAY(BigInteger)),
        bindparam("origins", type_=ARRAY(Integer)),
        bindparam("targets", type_=ARRAY(Integer)),
        bindparam("quantities", type_=ARRAY(quantity())),
        bindparam("lots", type_=ARRAY(BigInteger)),
        bindparam("sources", type_=ARRAY(BigInteger)),
        bindparam("promised", type_=Boolean),
        bindparam("kind", type_=Text),
        bindparam("source", type_=Text),
        bindparam("key", type_=Text),
        bindparam("day", type_=Date),
        bindparam("actor", type_=Text),
        bindparam("moment", type_=DateTime(timezone=True)),
        bindparam("costs", type_=ARRAY(money())),
    ).table_valued("place", "move_id")
    rows = await connection.execute(
        select(called.c.move_id).order_by(called.c.place),
        {
            "company": principal.company_id,
            "products": [one.product_id for one in goods],
            "origins": [origin for origin, _ in ends],
            "targets": [target for _, target in ends],
            "quantities": [one.quantity for one in goods],
            "lots": [one.lot_id for one in goods],
            "sources": [one.source_id for one in goods],
            "promised": promised,
            "kind": kind,
            "source": source,
            "key": f"{principal.actor}:{key}",
            "day": now.date(),
            "actor": principal.actor,
            "moment": now,
            "costs": [one.cost for one in goods],
        },
    )
    return [row.move_id for row in rows]


async def next_incoming(
    connection: Transaction, wanted: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], tuple[date, Decimal]]:
    """Return by product and warehouse what comes next of it there, where something does."""
    if not wanted:
        return {}
    coming = incoming_stock.c
    rows = await connection.execute(
        select(coming.product_id, coming.warehouse_id, coming.expected_on, coming.quantity)
        .where(tuple_(coming.product_id, coming.warehouse_id).in_(wanted))
        .order_by(coming.expected_on.desc(), coming.id.desc())
    )
    return {(row.product_id, row.warehouse_id): (row.expected_on, row.quantity) for row in rows}


def _as_json(line: AdjustmentLine) -> list[Any]:
    return [
        line.sku,
        line.location_id,
        line.reason,
        None if line.delta is None else f"{line.delta.normalize():f}",
        None if line.counted is None else f"{line.counted.normalize():f}",
        line.expected_version,
        # appended, so that requests without one are what they were
        *([] if line.lot_number is None else [line.lot_number.strip()]),
        *unit_asked(line.uom),
    ]


async def _lock_places(
    context: Context, connection: Transaction, lines: Sequence[AdjustmentLine]
) -> tuple[dict[int, StockPlace], int]:
    """Find and lock the level and balance of every line; also return the loss location's id."""
    company_id = context.principal.company_id
    products = await products_of(connection, [line.sku for line in lines])
    locations = await _locations(connection, lines)
    errors = _unknown(lines, products, locations)
    if errors:
        raise CommandRefused(errors)
    loss_id = min(
        (id_ for id_, row in locations.items() if row.kind == LocationKind.LOSS), default=0
    )
    if not loss_id:
        raise CommandRefused([NotFound("The company has no location for losses; make one first.")])
    at = [(products[line.sku].id, locations[line.location_id]) for line in lines]
    lots = await _lots(context, connection, lines, products)
    levels = await lock_levels(
        connection, company_id, [(product_id, place.warehouse_id) for product_id, place in at]
    )
    serial = [products[line.sku].tracking == "SERIAL" for line in lines]
    balances = await lock_balances(
        connection,
        company_id,
        {
            (product_id, location_id, lots[position]): serial[position]
            for position, (product_id, place) in enumerate(at)
            for location_id in (place.id, loss_id)
        },
    )
    away = await _serials_in_place(connection, [lots[n] for n, one in enumerate(serial) if one])
    # what was lost is nowhere, and may be found again
    away = {lot_id: location for lot_id, location in away.items() if location != loss_id}
    return {
        position: replace(
            _place(
                place,
                levels[product_id, place.warehouse_id],
                balances[product_id, place.id, lots[position]],
            ),
            loss_balance_id=balances[product_id, loss_id, lots[position]].id,
            lot_id=lots[position],
            serial=serial[position],
            elsewhere=away.get(lots[position] or 0, place.id) != place.id,
        )
        for position, (product_id, place) in enumerate(at)
    }, loss_id


async def _lots(
    context: Context,
    connection: Transaction,
    lines: Sequence[AdjustmentLine],
    products: Mapping[str, Any],
) -> list[int | None]:
    """Lock the lot of every line, None where its product has none; new goods may make a new one."""
    named = {
        position: (products[line.sku].id, line.lot_number.strip())
        for position, line in enumerate(lines)
        if line.lot_number is not None
    }
    today = context.clock().date()
    made = {
        named[position]: today
        for position, line in enumerate(lines)
        if position in named and (line.delta or line.counted or 0) > 0
    }
    found = await lock_lots(
        connection, context.principal.company_id, list(named.values()), made=made
    )
    unknown: list[ErpError] = [
        NotFound(
            f"There is no lot {number} of {lines[position].sku}.",
            path=("lines", str(position), "lotNumber"),
        )
        for position, (product_id, number) in named.items()
        if (product_id, number) not in found
    ]
    if unknown:
        raise CommandRefused(unknown)
    return [found[named[n]] if n in named else None for n in range(len(lines))]


async def _serials_in_place(connection: Transaction, lots: Sequence[int | None]) -> dict[int, int]:
    """Return the location of each of these serial numbers that is at one."""
    if not lots:
        return {}
    balance = stock_balance.c
    rows = await connection.execute(
        select(balance.lot_id, balance.location_id).where(
            balance.lot_id == any_(bindparam("lots", type_=ARRAY(BigInteger))),
            balance.is_serial,
            balance.on_hand > 0,
        ),
        {"lots": lots},
    )
    return {row.lot_id: row.location_id for row in rows}


def _place(location: Any, level: Any, balance: Any) -> StockPlace:
    return StockPlace(
        product_id=level.product_id,
        warehouse_id=level.warehouse_id,
        sellable=location.sellable,
        level_id=level.id,
        level_on_hand=level.on_hand,
        level_reserved=level.reserved,
        level_version=level.version,
        allow_negative=level.allow_negative,
        balance_id=balance.id,
        balance_on_hand=balance.on_hand,
        loss_balance_id=0,
    )


async def products_of(connection: Transaction, skus: Iterable[str]) -> Mapping[str, Any]:
    """Return products that are not archived by their SKUs: id, kind and tracking."""
    rows = await connection.execute(
        select(_product.id, _product.sku, _product.kind, _product.tracking).where(
            _product.sku.in_(sorted(set(skus))), _product.archived_at.is_(None)
        )
    )
    return {row.sku: row for row in rows}


async def _locations(connection: Transaction, lines: Sequence[AdjustmentLine]) -> Mapping[int, Any]:
    location = stock_location.c
    ids = bindparam("ids", type_=ARRAY(as_given(location.id.type)))
    rows = await connection.execute(
        select(location.id, location.kind, location.warehouse_id, location.sellable).where(
            (location.id == any_(ids)) | (location.kind == LocationKind.LOSS),
            location.archived_at.is_(None),
        ),
        {"ids": sorted({line.location_id for line in lines})},
    )
    return {row.id: row for row in rows}


def _unknown(
    lines: Sequence[AdjustmentLine], products: Mapping[str, Any], locations: Mapping[int, Any]
) -> list[ErpError]:
    errors: list[ErpError] = []
    for position, line in enumerate(lines):
        at = ("lines", str(position))
        product = products.get(line.sku)
        place = locations.get(line.location_id)
        if product is None:
            errors.append(NotFound(f"There is no product {shown(line.sku)}.", path=(*at, "sku")))
        elif product.kind != "GOODS":
            errors.append(Invalid(f"{line.sku} is a service and has no stock.", path=(*at, "sku")))
        else:
            wrong = check_lot(
                line, at, tracked=product.tracking != "NONE", serial=product.tracking == "SERIAL"
            )
            errors += [wrong] if wrong else []
        if place is None:
            errors.append(NotFound("There is no such location.", path=(*at, "locationId")))
        elif place.warehouse_id is None:
            errors.append(
                Invalid("Stock is corrected inside a warehouse only.", path=(*at, "locationId"))
            )
    return errors


async def _post(
    context: Context,
    connection: Transaction,
    key: str,
    adjustments: Sequence[Adjustment],
    loss_id: int,
    *,
    operation: str,
    sources: Sequence[tuple[str | None, int | None]],
) -> list[int]:
    """Write the moves, then what they add up to, then the audit trail; return the moves' ids."""
    if not adjustments:
        return []
    now = context.clock()
    principal = context.principal
    moves = [
        {
            "company_id": principal.company_id,
            "product_id": adjustment.place.product_id,
            "from_location_id": loss_id if adjustment.delta > 0 else adjustment.line.location_id,
            "to_location_id": adjustment.line.location_id if adjustment.delta > 0 else loss_id,
            "quantity": abs(adjustment.delta),
            "kind": MoveKind.ADJUSTMENT,
            "reason": adjustment.line.reason.strip(),
            "idempotency": f"{principal.actor}:{key}:{position}",
            "effective_on": now.date(),
            "posted_by": principal.actor,
            "lot_id": adjustment.place.lot_id,
            "source": source,
            "source_id": source_id,
        }
        for position, (adjustment, (source, source_id)) in enumerate(
            zip(adjustments, sources, strict=True)
        )
    ]
    posted = await connection.execute(
        insert(stock_move).returning(stock_move.c.id, sort_by_parameter_order=True), moves
    )
    move_ids = [row.id for row in posted]
    balance_deltas: dict[int, Decimal] = {}
    for adjustment in adjustments:
        place, delta = adjustment.place, adjustment.delta
        for id_, change in ((place.balance_id, delta), (place.loss_balance_id, -delta)):
            balance_deltas[id_] = balance_deltas.get(id_, Decimal(0)) + change
    await _add(connection, stock_balance, balance_deltas)
    level_deltas: dict[int, Decimal] = {}
    for adjustment in adjustments:
        if adjustment.place.sellable:
            id_ = adjustment.place.level_id
            level_deltas[id_] = level_deltas.get(id_, Decimal(0)) + adjustment.delta
    await _add(connection, stock_level, level_deltas)
    await write_audit(
        context,
        connection,
        operation=operation,
        action="post",
        entity="StockMove",
        changes={
            move_id: {"delta": f"{adjustment.delta:f}", "reason": adjustment.line.reason.strip()}
            for move_id, adjustment in zip(move_ids, adjustments, strict=True)
        },
    )
    return move_ids


async def _add(
    connection: Transaction,
    table: Table,
    deltas: Mapping[int, Decimal],
) -> None:
    """Add to ``on_hand`` of many rows, by their ids, in one statement."""
    changed = {id_: delta for id_, delta in deltas.items() if delta != 0}
    if not changed:
        return
    delta = (
        func.unnest(
            bindparam("ids", type_=ARRAY(BigInteger)), bindparam("deltas", type_=ARRAY(quantity()))
        )
        .table_valued("id", "amount", name="delta")
        .render_derived()
    )
    await connection.execute(
        update(table)
        .where(table.c.id == delta.c.id)
        .values(on_hand=table.c.on_hand + delta.c.amount),
        {"ids": list(changed), "deltas": list(changed.values())},
    )

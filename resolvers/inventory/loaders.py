"""Stock as readers know it, and how to get to it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Numeric,
    Select,
    Table,
    Text,
    and_,
    any_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY

from resolvers.core.entity import Entity, entity
from resolvers.core.kept import kept
from resolvers.core.relation import KEY, Relation, by_key, children
from resolvers.core.table import as_given
from resolvers.inventory.rules import RECEIPT_LINE, RETURN_LINE, IncomingSource, ReservationSource
from resolvers.inventory.tables import incoming_stock as incoming_table
from resolvers.inventory.tables import lot as lot_table
from resolvers.inventory.tables import reorder_rule as reorder_rule_table
from resolvers.inventory.tables import stock_balance as balance_table
from resolvers.inventory.tables import stock_hold as hold_table
from resolvers.inventory.tables import stock_hold_line as hold_line_table
from resolvers.inventory.tables import stock_level as level_table
from resolvers.inventory.tables import stock_location as location_table
from resolvers.inventory.tables import stock_move as move_table
from resolvers.inventory.tables import stock_projection as projection_table
from resolvers.inventory.tables import stock_reservation as reservation_table
from resolvers.inventory.tables import warehouse as warehouse_table

_NOTHING = literal_column("0.0000", Numeric(18, 4))


def _beside(row: Table, table: Table, amount: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return ``amount`` from ``table`` for the product and warehouse of ``row``, 0 without one."""
    there = select(amount).where(
        table.c.product_id == row.c.product_id, table.c.warehouse_id == row.c.warehouse_id
    )
    there = there.correlate(row)  # said, because it is nested in another subquery below
    return func.coalesce(there.scalar_subquery(), _NOTHING)


_incoming = _beside(level_table, projection_table, projection_table.c.incoming)
_outgoing = _beside(level_table, projection_table, projection_table.c.outgoing)
_projection = level_table.c.on_hand + _incoming - _outgoing

SALES_ORDER_LINE = ReservationSource.SALES_ORDER_LINE
GOODS_RECEIPT_LINE = RECEIPT_LINE
GOODS_RETURN_LINE = RETURN_LINE
"""Sources of the moves that lines of sales orders, goods receipts and returns made."""

warehouse = entity("Warehouse", warehouse_table)
location = entity("StockLocation", location_table)
stock_level = entity(
    "StockLevel",
    level_table,
    available=level_table.c.on_hand - level_table.c.reserved,
    incoming=_incoming,
    outgoing=_outgoing,
    projected=_projection,
    below_reorder_point=exists().where(
        reorder_rule_table.c.product_id == level_table.c.product_id,
        reorder_rule_table.c.warehouse_id == level_table.c.warehouse_id,
        reorder_rule_table.c.archived_at.is_(None),
        reorder_rule_table.c.min_quantity >= _projection,
    ),
)
stock_balance = entity("StockBalance", balance_table)
stock_hold = entity("StockHold", hold_table)
stock_hold_line = entity("StockHoldLine", hold_line_table)
hold_by_id = by_key(stock_hold)
lines_by_hold = children(stock_hold_line, "hold_id", order=("hold_id", "position"))
lot = entity("Lot", lot_table)
stock_move = entity(
    "StockMove",
    move_table,
    sales_order_line_id=case(
        (move_table.c.source == ReservationSource.SALES_ORDER_LINE, move_table.c.source_id)
    ),
    receipt_line_id=case((move_table.c.source == RECEIPT_LINE, move_table.c.source_id)),
    return_line_id=case((move_table.c.source == RETURN_LINE, move_table.c.source_id)),
)
reservation = entity("Reservation", reservation_table)
incoming_stock = entity(
    "IncomingStock",
    incoming_table,
    purchase_order_line_id=case(
        (incoming_table.c.source == IncomingSource.PURCHASE_ORDER_LINE, incoming_table.c.source_id)
    ),
    transfer_line_id=case(
        (incoming_table.c.source == IncomingSource.STOCK_TRANSFER_LINE, incoming_table.c.source_id)
    ),
)

_rule = reorder_rule_table.c
# there may be no level yet: a product that is new to a warehouse
_projection_of_rule = _beside(reorder_rule_table, level_table, level_table.c.on_hand) + _beside(
    reorder_rule_table, projection_table, projection_table.c.incoming - projection_table.c.outgoing
)
reorder_rule = entity(
    "ReorderRule",
    reorder_rule_table,
    projected=_projection_of_rule,
    suggested_quantity=case(
        (
            _projection_of_rule <= _rule.min_quantity,
            func.ceil((_rule.target_quantity - _projection_of_rule) / _rule.multiple)
            * _rule.multiple,
        ),
        else_=_NOTHING,
    ),
)


def _summed(expression: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.coalesce(func.sum(expression), _NOTHING)


stock_totals = Entity(
    "StockTotals",
    level_table,
    {
        "on_hand": _summed(level_table.c.on_hand),
        "reserved": _summed(level_table.c.reserved),
        "available": _summed(level_table.c.on_hand - level_table.c.reserved),
        "incoming": _summed(_incoming),
        "outgoing": _summed(_outgoing),
        "projected": _summed(_projection),
    },
    key="product_id",
)

_in_warehouses = level_table.c.warehouse_id == any_(
    bindparam("warehouse_ids", type_=ARRAY(as_given(level_table.c.warehouse_id.type)))
)


def _totals(
    keys: ColumnElement[Any], wanted: Sequence[ColumnElement[Any]], given: frozenset[str]
) -> Select[Any]:
    """Sum the levels of each product; one without stock still has a row of zeros."""
    product = func.unnest(keys).table_valued("id", name="asked").render_derived()
    matches = level_table.c.product_id == product.c.id
    if "warehouse_ids" in given:
        matches = and_(matches, _in_warehouses)
    return (
        select(product.c.id.label(KEY), *wanted)
        .select_from(product.outerjoin(level_table, matches))
        .group_by(product.c.id)
    )


warehouse_by_id = kept(warehouse)
location_by_id = by_key(location)
locations_by_warehouse = children(
    location, "warehouse_id", order=("code",), where=(location.columns["archived_at"].is_(None),)
)
level_by_id = by_key(stock_level)
lot_by_id = by_key(lot)
balances_by_lot = children(
    stock_balance, "lot_id", order=("lot_id", "id"), where=(balance_table.c.on_hand > 0,)
)
move_by_id = by_key(stock_move)
levels_by_product = children(
    stock_level, "product_id", order=("warehouse_id",), narrowing={"warehouse_ids": _in_warehouses}
)
totals_by_product = Relation(
    "StockTotalsByProductId", stock_totals, "product_id", source=_totals, key_type=BigInteger()
)


def _balances(
    keys: ColumnElement[Any], wanted: Sequence[ColumnElement[Any]], given: frozenset[str]
) -> Select[Any]:
    """Find the balances behind each level: same product, locations of its warehouse."""
    del given
    return (
        select(level_table.c.id.label(KEY), *wanted)
        .select_from(
            level_table.join(
                location_table, location_table.c.warehouse_id == level_table.c.warehouse_id
            ).join(
                balance_table,
                and_(
                    balance_table.c.location_id == location_table.c.id,
                    balance_table.c.product_id == level_table.c.product_id,
                ),
            )
        )
        .where(level_table.c.id == any_(keys), balance_table.c.on_hand != 0)
        .order_by(location_table.c.code, balance_table.c.id)
    )


balances_by_level = Relation(
    "StockBalancesByLevelId",
    stock_balance,
    "id",
    many=True,
    source=_balances,
    key_type=BigInteger(),
)


def _source_is(source: str) -> ColumnElement[bool]:
    # a literal and not a parameter, so that the partial index matches
    return move_table.c.source == literal_column(f"'{source}'", Text)


def lines_by_lot(line: Entity, source: str) -> Relation:
    """Return the relation from lots to the lines of documents that they moved for."""

    def find(
        keys: ColumnElement[Any], wanted: Sequence[ColumnElement[Any]], given: frozenset[str]
    ) -> Select[Any]:
        del given
        moved = (
            select(move_table.c.lot_id, move_table.c.source_id)
            .where(move_table.c.lot_id == any_(keys), _source_is(source))
            .distinct()
            .subquery("moved")
        )
        key = line.columns["id"]
        joined = line.table.join(moved, moved.c.source_id == key)
        return select(moved.c.lot_id.label(KEY), *wanted).select_from(joined).order_by(key)

    return Relation(
        f"{line.name}sByLotId", line, "id", many=True, source=find, key_type=BigInteger()
    )


def lots_by_line(line: str, source: str) -> Relation:
    """Return the relation from lines of documents, called ``line``, to the lots moved for them."""

    def find(
        keys: ColumnElement[Any], wanted: Sequence[ColumnElement[Any]], given: frozenset[str]
    ) -> Select[Any]:
        del given
        moved = (
            select(move_table.c.lot_id, move_table.c.source_id)
            .where(move_table.c.source_id == any_(keys), _source_is(source))
            .distinct()
            .subquery("moved")
        )
        joined = lot_table.join(moved, moved.c.lot_id == lot_table.c.id)
        ordered = select(moved.c.source_id.label(KEY), *wanted).select_from(joined)
        return ordered.order_by(lot_table.c.id)

    return Relation(f"LotsBy{line}Id", lot, "id", many=True, source=find, key_type=BigInteger())

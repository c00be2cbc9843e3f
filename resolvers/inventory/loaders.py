"""Stock as readers know it, and how to get to it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Numeric,
    Select,
    and_,
    any_,
    bindparam,
    exists,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY

from resolvers.core.entity import Entity, entity
from resolvers.core.relation import KEY, Relation, by_key, children
from resolvers.core.table import as_given
from resolvers.inventory.tables import reorder_rule as reorder_rule_table
from resolvers.inventory.tables import stock_balance as balance_table
from resolvers.inventory.tables import stock_level as level_table
from resolvers.inventory.tables import stock_location as location_table
from resolvers.inventory.tables import stock_move as move_table
from resolvers.inventory.tables import stock_projection as projection_table
from resolvers.inventory.tables import stock_reservation as reservation_table
from resolvers.inventory.tables import warehouse as warehouse_table

_NOTHING = literal_column("0.0000", Numeric(18, 4))


def _projected(column: str) -> ColumnElement[Any]:
    """Return a projection column of a level's product and warehouse, 0 where there is none."""
    row = select(projection_table.c[column]).where(
        projection_table.c.product_id == level_table.c.product_id,
        projection_table.c.warehouse_id == level_table.c.warehouse_id,
    )
    row = row.correlate(level_table)  # said, because it is nested in another subquery below
    return func.coalesce(row.scalar_subquery(), _NOTHING)


_incoming = _projected("incoming")
_outgoing = _projected("outgoing")
_projection = level_table.c.on_hand + _incoming - _outgoing

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
stock_move = entity("StockMove", move_table)
reservation = entity("Reservation", reservation_table)


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


warehouse_by_id = by_key(warehouse)
location_by_id = by_key(location)
locations_by_warehouse = children(
    location, "warehouse_id", order=("code",), where=(location.columns["archived_at"].is_(None),)
)
level_by_id = by_key(stock_level)
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
        .order_by(location_table.c.code)
    )


balances_by_level = Relation(
    "StockBalancesByLevelId",
    stock_balance,
    "id",
    many=True,
    source=_balances,
    key_type=BigInteger(),
)

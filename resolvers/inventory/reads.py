"""Lists of warehouses, levels, moves, reservations and what is on its way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from resolvers.catalog.loaders import product
from resolvers.core.aggregation import Aggregation, Grouping, days_and_months
from resolvers.core.context import Reads
from resolvers.core.listing import AmountBetween, Between, Condition, Filter, Flag, Listing, OneOf
from resolvers.inventory.events import OF_CATEGORIES, SummaryInterest
from resolvers.inventory.loaders import (
    incoming_stock,
    lot,
    reservation,
    stock_hold,
    stock_level,
    stock_move,
    warehouse,
)

_level = stock_level.columns
_move = stock_move.columns
_incoming = incoming_stock.columns
_lot = lot.columns

warehouses = Listing(
    name="warehouses",
    entity=warehouse,
    orders={"CODE": ("code",)},
    default_order="CODE",
    where=(warehouse.columns["archived_at"].is_(None),),
)
stock_levels = Listing(
    name="stockLevels",
    entity=stock_level,
    orders={"AVAILABLE": ("available_steps",), "ID": ()},
    default_order="AVAILABLE",
    filters={
        "warehouse_ids": OneOf(_level["warehouse_id"], "Warehouse"),
        "product_ids": OneOf(_level["product_id"], "Product"),
        "available": AmountBetween(_level["available_steps"]),
        "below_reorder_point": Flag(_level["below_reorder_point"], ~_level["below_reorder_point"]),
        "has_stock": Flag(_level["on_hand"] != 0, _level["on_hand"] == 0),
    },
    guarded={"below_reorder_point": "stock.read", "has_stock": "stock.read"},
)
stock_moves = Listing(
    name="stockMoves",
    entity=stock_move,
    orders={"POSTED_AT": ("posted_at",)},
    default_order="POSTED_AT",
    default_descending=True,
    filters={
        "kinds": OneOf(_move["kind"]),
        "product_ids": OneOf(_move["product_id"], "Product"),
        "posted_at": Between(_move["posted_at"]),
        "lot_ids": OneOf(_move["lot_id"], "Lot"),
    },
)
_hold = stock_hold.columns

stock_holds = Listing(
    name="stockHolds",
    entity=stock_hold,
    orders={"EXPIRES_AT": ("expires_at",)},
    default_order="EXPIRES_AT",
    default_descending=True,
    filters={
        "states": OneOf(_hold["state"]),
        "partner_ids": OneOf(_hold["partner_id"], "Partner"),
        "expires_at": Between(_hold["expires_at"]),
    },
)
lots = Listing(
    name="lots",
    entity=lot,
    orders={"RECEIVED_ON": ("received_on",)},
    default_order="RECEIVED_ON",
    default_descending=True,
    filters={
        "numbers": OneOf(_lot["number"]),
        "product_ids": OneOf(_lot["product_id"], "Product"),
        "received_on": Between(_lot["received_on"]),
        "expires_on": Between(_lot["expires_on"]),
    },
)
_of_product = _level["product_id"] == product.columns["id"]
stock_level_aggregates = Aggregation(
    name="StockLevelGroup",
    listing=stock_levels,
    groups={
        "PRODUCT": Grouping({"product_id": _level["product_id"]}),
        "CATEGORY": Grouping({"category_id": product.columns["category_id"]}, (_of_product,)),
        "WAREHOUSE": Grouping({"warehouse_id": _level["warehouse_id"]}),
    },
    measures={
        name: _level[name]
        for name in ("on_hand", "reserved", "available", "incoming", "outgoing", "projected")
    },
    guarded=dict.fromkeys(("on_hand", "reserved", "outgoing", "projected"), "stock.read"),
)


@dataclass(frozen=True)
class _OfCategories(Filter):
    """The product is in one of the categories, or below one."""

    def conditions(self, name: str) -> Mapping[str, Condition]:
        return {name: Condition(OF_CATEGORIES, name)}

    def leaves(self, name: str, value: Any) -> dict[str, Any]:
        return {name: list(value)}


_levels_summed = replace(
    stock_levels,
    filters={**stock_levels.filters, "category_ids": _OfCategories()},
    _statements={},
)
_sums = replace(stock_level_aggregates, listing=_levels_summed, _statements={})
_SUMMED = frozenset({"count", *(f"sum_{name}" for name in ("on_hand", "reserved", "available"))})
_KEYS = frozenset({"warehouse_id", "product_id", "category_id"})


async def sums_of(reads: Reads, summing: SummaryInterest) -> Sequence[Any]:
    """Return what levels add up to, a row for each group, by the keys asked for.

    Of the quantities those alone whose changes are published.
    """
    given = {
        "warehouse_ids": summing.warehouse_ids,
        "product_ids": summing.product_ids,
        "category_ids": summing.category_ids,
    }
    filters = {name: sorted(keys) for name, keys in given.items() if keys is not None}
    page = _levels_summed.request(filters=filters)
    asked = _sums.request(summing.groups, first=summing.first)
    return await _sums.rows(reads, page, asked, _SUMMED | _KEYS)


stock_move_aggregates = Aggregation(
    name="StockMoveGroup",
    listing=stock_moves,
    groups={
        **days_and_months(_move["effective_on"]),
        "KIND": Grouping({"kind": _move["kind"]}),
        "PRODUCT": Grouping({"product_id": _move["product_id"]}),
    },
    measures={"qty": _move["quantity"]},
)
reservations = Listing(
    name="reservations",
    entity=reservation,
    orders={"ID": ()},
    default_order="ID",
    filters={"states": OneOf(reservation.columns["state"])},
)
incoming = Listing(
    name="incomingStock",
    entity=incoming_stock,
    orders={"EXPECTED_ON": ("expected_on",)},
    default_order="EXPECTED_ON",
    filters={
        "warehouse_ids": OneOf(_incoming["warehouse_id"], "Warehouse"),
        "product_ids": OneOf(_incoming["product_id"], "Product"),
        "expected_on": Between(_incoming["expected_on"]),
    },
)

"""What stock adds to lower modules' types."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from resolvers.core.context import Context
from resolvers.inventory.loaders import levels_by_product, totals_by_product
from resolvers.inventory.reads import incoming, stock_levels, stock_moves
from schema.catalog.types import Product
from schema.core.connection import Connection, connection
from schema.core.extend import extend
from schema.core.fields import argument, related_with
from schema.core.ids import decode_ids
from schema.core.info import Info
from schema.inventory.aggregates import StockLevelConnection, StockMoveConnection
from schema.inventory.inputs import (
    IncomingStockFilter,
    IncomingStockOrderBy,
    StockLevelFilter,
    StockLevelOrderBy,
    StockMoveFilter,
    StockMoveOrderBy,
)
from schema.inventory.types import IncomingStock, Lot, StockLevel, StockTotals, Warehouse

WarehouseIds = Annotated[
    list[strawberry.ID] | None, argument("Only stock in these warehouses; all without it.")
]


def _bind(context: Context, given: Mapping[str, Any]) -> Mapping[str, Any]:
    del context
    ids = given.get("warehouse_ids")
    return {} if ids is None else {"warehouse_ids": decode_ids(ids, "Warehouse", ("warehouseIds",))}


@extend(Product)
class ProductStock:
    """Stock of products."""

    @related_with(
        levels_by_product,
        "id",
        "Stock of the product per warehouse; warehouses that never had any are left out.",
        bind=_bind,
        requires="availability.read",
        size=6,
    )
    def availability(
        root: Any, info: Info, warehouse_ids: WarehouseIds = None
    ) -> list[StockLevel] | None:
        """Describe the arguments."""

    @related_with(
        totals_by_product,
        "id",
        "Stock of the product over all warehouses, or over those given.",
        bind=_bind,
        requires="availability.read",
    )
    def totals(root: Any, info: Info, warehouse_ids: WarehouseIds = None) -> StockTotals | None:
        """Describe the arguments."""

    moves: StockMoveConnection | None = connection(
        "The product's entries in the stock ledger, latest first.",
        stock_moves,
        filter_input=StockMoveFilter,
        order=StockMoveOrderBy,
        parent="product_id",
        requires="stock.read",
    )
    incoming: Connection[IncomingStock] | None = connection(
        "What is on its way of the product, the earliest first.",
        incoming,
        filter_input=IncomingStockFilter,
        order=IncomingStockOrderBy,
        parent="product_id",
        requires="availability.read",
    )


@extend(Warehouse)
class WarehouseLevels:
    """Stock of warehouses."""

    levels: StockLevelConnection | None = connection(
        "Stock levels of this warehouse.",
        stock_levels,
        filter_input=StockLevelFilter,
        order=StockLevelOrderBy,
        parent="warehouse_id",
        requires="availability.read",
    )


@extend(Lot)
class LotMoves:
    """The ledger of lots."""

    moves: StockMoveConnection = connection(
        "Where it came from and where it went, latest first.",
        stock_moves,
        filter_input=StockMoveFilter,
        order=StockMoveOrderBy,
        parent="lot_id",
    )

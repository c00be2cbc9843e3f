"""Root fields of stock."""

from typing import Annotated

import strawberry

from resolvers.core.context import Context
from resolvers.inventory.loaders import hold_by_id
from resolvers.inventory.reads import (
    incoming,
    lots,
    stock_holds,
    stock_levels,
    stock_moves,
    warehouses,
)
from schema.core.connection import Connection, connection
from schema.core.fields import argument, fetched, find
from schema.core.ids import decode_id
from schema.inventory.aggregates import StockLevelConnection, StockMoveConnection
from schema.inventory.inputs import (
    IncomingStockFilter,
    IncomingStockOrderBy,
    LotFilter,
    LotOrderBy,
    StockHoldFilter,
    StockHoldOrderBy,
    StockLevelFilter,
    StockLevelOrderBy,
    StockMoveFilter,
    StockMoveOrderBy,
)
from schema.inventory.types import IncomingStock, Lot, StockHold, Warehouse


@strawberry.type
class Query:
    """Root fields of this module."""

    warehouses: Connection[Warehouse] = connection("The company's warehouses, by code.", warehouses)
    stock_levels: StockLevelConnection | None = connection(
        "Stock per product and warehouse, lowest availability first.",
        stock_levels,
        filter_input=StockLevelFilter,
        order=StockLevelOrderBy,
        requires="availability.read",
    )
    stock_moves: StockMoveConnection | None = connection(
        "The stock ledger, latest first.",
        stock_moves,
        filter_input=StockMoveFilter,
        order=StockMoveOrderBy,
        requires="stock.read",
    )

    @fetched("One hold of stock by its id.", requires="availability.read")
    async def stock_hold(
        context: Context,
        columns: frozenset[str],
        id: Annotated[strawberry.ID, argument("Id of the hold.")],
    ) -> StockHold | None:
        """Load a hold."""
        return await find(context, hold_by_id, decode_id(id, "StockHold"), columns)

    stock_holds: Connection[StockHold] | None = connection(
        "Stock that is held or was, what ends last first.",
        stock_holds,
        filter_input=StockHoldFilter,
        order=StockHoldOrderBy,
        requires="availability.read",
    )
    lots: Connection[Lot] | None = connection(
        "Lots and serial numbers, those that came last first.",
        lots,
        filter_input=LotFilter,
        order=LotOrderBy,
        requires="stock.read",
    )
    incoming_stock: Connection[IncomingStock] | None = connection(
        "Goods on their way to the company's warehouses, the earliest first.",
        incoming,
        filter_input=IncomingStockFilter,
        order=IncomingStockOrderBy,
        requires="availability.read",
    )

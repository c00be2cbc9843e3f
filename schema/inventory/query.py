"""Root fields of stock."""

from datetime import date
from typing import Annotated

import strawberry

from resolvers.core.context import Context
from resolvers.inventory.reads import (
    incoming,
    lots,
    read_stock_valuation,
    stock_levels,
    stock_moves,
    warehouses,
)
from schema.core.connection import Connection, connection
from schema.core.fields import argument, fetched
from schema.inventory.aggregates import StockLevelConnection, StockMoveConnection
from schema.inventory.inputs import (
    IncomingStockFilter,
    IncomingStockOrderBy,
    LotFilter,
    LotOrderBy,
    StockLevelFilter,
    StockLevelOrderBy,
    StockMoveFilter,
    StockMoveOrderBy,
)
from schema.inventory.types import IncomingStock, Lot, StockValuation, Warehouse


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

    @fetched(
        "What the stock in the warehouses was worth at the end of a day, at standard cost.",
        requires="cost.read",
    )
    async def stock_valuation(
        context: Context,
        columns: frozenset[str],
        as_of: Annotated[
            date | None, argument("At the end of this day; today if left out.")
        ] = None,
    ) -> StockValuation | None:
        """Work out what stock is worth."""
        del columns
        day = as_of or context.clock().date()
        return await read_stock_valuation(context, day)  # type: ignore[return-value]

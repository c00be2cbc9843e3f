"""Root fields of stock."""

import strawberry

from resolvers.inventory.reads import (
    incoming,
    lots,
    stock_levels,
    stock_moves,
    warehouses,
)
from schema.core.connection import Connection, connection
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
from schema.inventory.types import IncomingStock, Lot, Warehouse


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

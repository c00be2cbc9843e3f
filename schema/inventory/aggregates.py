"""What stock levels and the stock ledger add up to."""

from datetime import date
from decimal import Decimal

import strawberry

from resolvers.catalog.loaders import category_by_id, product_by_id
from resolvers.inventory.loaders import warehouse_by_id
from resolvers.inventory.reads import stock_level_aggregates, stock_move_aggregates
from schema.catalog.types import Product, ProductCategory
from schema.core.aggregates import BY_COUNT, NOT_GROUPED, aggregates, group_type
from schema.core.connection import Connection
from schema.core.fields import RowType, column, related
from schema.inventory.enums import MoveKind
from schema.inventory.types import StockLevel, StockMove, Warehouse

_NO_ROWS = "null in a group without rows"


@strawberry.type(
    description="Quantities of a group of stock levels, each in the unit of its product."
)
class StockLevelMeasures(RowType):
    """What is measured of a group of levels."""

    on_hand: Decimal | None = column(
        f"Physically there and sellable; {_NO_ROWS}.", requires="stock.read"
    )
    reserved: Decimal | None = column(f"Promised to orders; {_NO_ROWS}.", requires="stock.read")
    available: Decimal | None = column(f"What can be promised now; {_NO_ROWS}.")
    incoming: Decimal | None = column(f"Ordered and not yet received; {_NO_ROWS}.")
    outgoing: Decimal | None = column(
        f"Ordered by customers and not yet shipped; {_NO_ROWS}.", requires="stock.read"
    )
    projected: Decimal | None = column(
        f"Sum of onHand + incoming - outgoing; {_NO_ROWS}.", requires="stock.read"
    )


@group_type("StockLevel", stock_level_aggregates, StockLevelMeasures)
class StockLevelGroup(RowType):
    """Levels with the same keys."""

    warehouse: Warehouse | None = related(
        f"Warehouse; {NOT_GROUPED}.", warehouse_by_id, "warehouse_id"
    )
    product: Product | None = related(f"Product; {NOT_GROUPED}.", product_by_id, "product_id")
    category: ProductCategory | None = related(
        f"Category of the products; {NOT_GROUPED}.", category_by_id, "category_id"
    )


@strawberry.type(description="A page of stock levels, and what the whole list adds up to.")
class StockLevelConnection(Connection[StockLevel]):
    """Levels with their aggregates."""

    aggregates: list[StockLevelGroup] = aggregates(
        "StockLevel",
        stock_level_aggregates,
        StockLevelGroup,
        group_by={
            "WAREHOUSE": "The warehouse.",
            "PRODUCT": "The product.",
            "CATEGORY": "The category of the product.",
        },
        order_by={
            **BY_COUNT,
            "sum_on_hand": "By what is there.",
            "sum_reserved": "By what is promised.",
            "sum_available": "By what can be promised.",
            "sum_incoming": "By what is to come.",
            "sum_outgoing": "By what is to go.",
            "sum_projected": "By the projection.",
        },
    )


@strawberry.type(
    description="Quantities of a group of stock moves, each in the unit of its product."
)
class StockMoveMeasures(RowType):
    """What is measured of a group of moves."""

    qty: Decimal | None = column(f"How much moved; {_NO_ROWS}.")


@group_type("StockMove", stock_move_aggregates, StockMoveMeasures)
class StockMoveGroup(RowType):
    """Moves with the same keys."""

    day: date | None = column(f"Date the moves count for; {NOT_GROUPED}.")
    month: date | None = column(f"First day of the month they count for; {NOT_GROUPED}.")
    kind: MoveKind | None = column(f"Why they moved; {NOT_GROUPED}.")
    product: Product | None = related(f"Product; {NOT_GROUPED}.", product_by_id, "product_id")


@strawberry.type(description="A page of the stock ledger, and what the whole list adds up to.")
class StockMoveConnection(Connection[StockMove]):
    """Moves with their aggregates."""

    aggregates: list[StockMoveGroup] = aggregates(
        "StockMove",
        stock_move_aggregates,
        StockMoveGroup,
        group_by={
            "DAY": "The date it counts for.",
            "MONTH": "The month it counts for.",
            "KIND": "Why it moved.",
            "PRODUCT": "The product.",
        },
        order_by={**BY_COUNT, "sum_qty": "By the quantity."},
    )

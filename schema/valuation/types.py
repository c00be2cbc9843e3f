"""What stock cost and what it is worth."""

from datetime import date, datetime
from decimal import Decimal

from resolvers.catalog.loaders import category_by_id, product_by_id
from resolvers.inventory.loaders import move_by_id, warehouse_by_id
from resolvers.valuation.loaders import valuation_entry
from schema.catalog.types import Product, ProductCategory
from schema.core.fields import ID, RowType, column, held, node_id, related
from schema.core.node import Node, node_type, row_type
from schema.core.scalars import CurrencyCode
from schema.inventory.types import StockMove, Warehouse
from schema.valuation.enums import ValuationKind


@node_type(
    valuation_entry,
    "What a move or a cost added to the worth of a product; it never changes.",
    requires="cost.read",
)
class ValuationEntry(RowType, Node):
    """A row of `valuation_entry`."""

    id: ID = node_id("ValuationEntry")
    product: Product = related("Product that is worth more or less.", product_by_id, "product_id")
    move: StockMove | None = related(
        "Move that is valued; null for costs of goods that are there already.",
        move_by_id,
        "move_id",
        requires="stock.read",
    )
    kind: ValuationKind = column("What the value was exchanged for.")
    qty: Decimal = column(
        "How much came, below 0 what left, in the product's unit; 0 if only the value changed.",
        of="quantity",
    )
    amount: Decimal = column("What the company's stock is worth more, in its currency.")
    effective_on: date = column("Date it counts for.")
    posted_at: datetime = column("When it was posted.")
    posted_by: str = column("Who posted it: user:<number>, client:<number> or a process.")


@row_type("CostLayer", "Goods that came at one cost: first in, first out.")
class CostLayer(RowType):
    """A row of `cost_layer`."""

    move: StockMove | None = related(
        "Move they came with, or left with.", move_by_id, "move_id", requires="stock.read"
    )
    received_at: datetime = column("When they came.")
    qty: Decimal = column("How much came.", of="quantity")
    remaining: Decimal = column(
        "How much of it is left; below 0 for goods that left before they came."
    )
    value: Decimal = column("What that is worth, in the company's currency.")


@row_type("ProductCost", "What the company has of a product, and what that is worth.")
class ProductCost(RowType):
    """A row of `product_cost`."""

    qty: Decimal = column("How much the company has, between warehouses too.", of="quantity")
    value: Decimal = column("What that is worth, in the company's currency.")
    unit_cost: Decimal = column(
        "What one unit cost on average; the last time that there was any, if there is none."
    )


@row_type("StockValuationRow", "Stock of one category in one warehouse.")
class StockValuationRow(RowType):
    """A row of the report `stock_valuation`."""

    warehouse: Warehouse = related("The warehouse.", warehouse_by_id, "warehouse_id")
    category: ProductCategory = related("The category.", category_by_id, "category_id")
    on_hand: Decimal = column("Quantities of all its products, each in its own unit.")
    value: Decimal = column(
        "What they cost: of each product the share of what it is worth to the company."
    )


@row_type("StockValuation", "What stock was worth at the end of a day.")
class StockValuation(RowType):
    """What `read_stock_valuation` returns."""

    as_of: date = column("The day.")
    currency: CurrencyCode | None = column("The company's currency; null if there was no stock.")
    value: Decimal | None = column(
        "All of it together, between warehouses too; null if there was no stock."
    )
    in_transit: Decimal | None = column(
        "What of it was between warehouses; null if there was no stock."
    )
    rows: list[StockValuationRow] = held("By warehouse and category.", "rows", size=100)

"""What stock is worth as readers know it, and how to get to it."""

from sqlalchemy import Date, Integer, Numeric
from sqlalchemy.dialects.postgresql import CHAR

from resolvers.core.entity import entity
from resolvers.core.relation import by_key, children
from resolvers.core.report import Report
from resolvers.valuation.tables import cost_layer as layer_table
from resolvers.valuation.tables import product_cost as cost_table
from resolvers.valuation.tables import valuation_entry as entry_table

product_cost = entity("ProductCost", cost_table, key="product_id")
cost_layer = entity("CostLayer", layer_table)
valuation_entry = entity("ValuationEntry", entry_table)

cost_by_product = by_key(product_cost)
entry_by_id = by_key(valuation_entry)
entries_by_move = children(valuation_entry, "move_id", order=("id",))
layers_by_product = children(
    cost_layer, "product_id", order=("id",), where=(layer_table.c.remaining != 0,)
)

stock_valuation = Report(
    "StockValuation",
    "stock_valuation",
    {
        "warehouse_id": Integer(),
        "category_id": Integer(),
        "currency": CHAR(3),
        "on_hand": Numeric(18, 4),
        "value": Numeric(20, 4),
        "in_transit": Numeric(20, 4),
    },
    {"day": Date()},
    order=("warehouse_id", "category_id"),
)

"""Introduces valuation to the registry."""

from resolvers.core.module import DataModule
from resolvers.valuation.invariants import INVARIANTS
from resolvers.valuation.tables import (
    COSTING_KEPT,
    STOCK_MOVES_VALUED,
    STOCK_VALUATION,
    VALUE_SHARE,
    cost_layer,
    product_cost,
    valuation_entry,
)

MODULE = DataModule(
    name="valuation",
    tables=(product_cost, cost_layer, valuation_entry),
    functions=(VALUE_SHARE, STOCK_MOVES_VALUED, COSTING_KEPT, STOCK_VALUATION),
    invariants=INVARIANTS,
    permissions={"valuation.write": "Add costs to goods that came."},
)

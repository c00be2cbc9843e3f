"""Introduces sales orders to the registry."""

from resolvers.core.module import DataModule
from resolvers.sales.invariants import INVARIANTS
from resolvers.sales.tables import sales_order, sales_order_line

MODULE = DataModule(
    name="sales",
    tables=(sales_order, sales_order_line),
    invariants=INVARIANTS,
    permissions={"sales.read": "See sales orders."},
)
